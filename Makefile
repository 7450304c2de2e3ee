# evonas: `make` lists the targets. Everything is installed into .venv; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install search test check format bench ui clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

install: $(INSTALLED) ## create .venv and install evonas with pinned dependencies into it

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evonas needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch$$(sed -n 's/^torch//p' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

search: $(INSTALLED) ## run the quickstart search and print its Pareto front
	$(BIN)/evonas run experiments/quickstart.yaml $(ARGS)
	@echo
	@echo "Browse it:  make ui"

test: $(INSTALLED) ## run the tests
	$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## check format, lint, types and the architecture's contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED) ## run the benchmarks (long); one that needs what is not here says so
	@for benchmark in experiments/benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark" || [ $$? -eq 2 ] || exit 1; done

ui: $(INSTALLED) ## browse the runs in the MLflow UI
	$(BIN)/evonas ui $(ARGS)

clean: ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
