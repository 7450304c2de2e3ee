"""The evaluator that looks up: what the table says, and how far a search has come on it."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import evonas
from evaluator_contract import EvaluatorContract
from pyarrow import parquet

from evonas import config, search
from evonas.compose import prepare, space_of
from evonas.config import parse
from evonas.errors import ConfigError, DataError, RunFolderError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, evaluate
from evonas.history import History
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.space import Genome
from evonas.spaces.cell201 import Cell201
from evonas.spaces.table import Table
from evonas.workers.tabular import Tabular

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SHARED = EXPERIMENTS.parents[1] / "shared" / "data"
WIDTHS, KERNELS, ACTS = (8, 16, 32, 64), (1, 3, 5), ("relu", "gelu")


def write(path: Path, broken: int = 0, better: float = 0.0) -> Path:
    """Write a table of 24 networks; the first `broken` have no accuracy, and all are `better` by as many per cent."""
    lines = ["width,kernel,act,top1,ms,train_s,params"]
    for number, (width, kernel, act) in enumerate(product(WIDTHS, KERNELS, ACTS)):
        noise = float(generator(0, "table", number).random())
        top1 = "" if number < broken else f"{60 + 5 * math.log2(width) + kernel + 2 * noise + better:.4f}"
        lines.append(f"{width},{kernel},{act},{top1},{0.01 * width * kernel + noise},{60 + width},{width * kernel}")
    path.write_text("\n".join(lines) + "\n")
    return path


def experiment(file: Path, **changes: Any) -> dict[str, Any]:
    """Return an experiment that a person with a CSV would write."""
    return {
        "name": "mine",
        "space": {
            "use": "evonas.spaces.table:Table",
            "file": str(file),
            "genes": ["width", "kernel", "act"],
            "costs": ["params"],
        },
        "data": None,
        "evaluator": {
            "use": "evonas.workers.tabular:Tabular",
            "metrics": {"error": {"column": "top1", "scale": -0.01, "offset": 1}, "ms": "ms"},
            "seconds": "train_s",
        },
        "objectives": ["error", "ms"],
        "strategy": {"population": 4},
        "evaluations": 24,
        "pool": "evonas.workers.local_pool:LocalPool",
        "tracking": None,
        **changes,
    }


def mine(folder: Path, **options: Any) -> Tabular:
    space = Table(file=write(folder / "mine.csv", broken=1), genes=["width", "kernel", "act"], costs=["params"])
    return Tabular(space, 0, **{"metrics": ["top1", "ms"], **options})


class TestTabularOfATable(EvaluatorContract):
    depends_on_seed = False

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.file = write(tmp_path / "mine.csv")

    def evaluator(self, seed: int) -> Evaluator:
        space = Table(file=self.file, genes=["width", "kernel", "act"], costs=["params"])
        metrics = {"error": {"column": "top1", "scale": -0.01, "offset": 1}, "fps": {"column": "ms", "maximize": True}}
        return Tabular(space, seed, metrics=metrics)  # type: ignore[arg-type]


def cells(folder: Path, share: float = 0.3) -> tuple[Path, np.ndarray]:
    """Write a table of a share of Cell201's genomes, as published strings, with its number as the latency."""
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    rng = np.random.default_rng(0)
    genomes = np.array([genome for genome in product(range(5), repeat=6) if rng.random() < share])
    lines = ["cell,latency"]
    for number, genome in enumerate(genomes):
        a, b, c, d, e, f = (names[index] for index in genome)
        lines.append(f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|,{number}.5")
    path = folder / "cells.csv"
    path.write_text("\n".join(lines) + "\n")
    return path, genomes


EDGE = r"(?:nor_)?(\w+)"
PATTERN = rf"\|{EDGE}~0\|\+\|{EDGE}~0\|{EDGE}~1\|\+\|{EDGE}~0\|{EDGE}~1\|{EDGE}~2\|"


@pytest.fixture(scope="module")
def all_cells(tmp_path_factory: pytest.TempPathFactory) -> Tabular:
    path, _ = cells(tmp_path_factory.mktemp("cells"), share=1.0)
    return Tabular(Cell201(), 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN)


class TestTabularOfAnotherSpace(EvaluatorContract):
    depends_on_seed = False

    @pytest.fixture(autouse=True)
    def _built(self, all_cells: Tabular) -> None:
        self.built = all_cells

    def evaluator(self, seed: int) -> Evaluator:
        evaluator = copy.copy(self.built)
        evaluator.seed = seed
        return evaluator


def test_metrics_are_the_numbers_of_the_row(tmp_path: Path) -> None:
    evaluator = mine(tmp_path, metrics={"error": {"column": "top1", "scale": -0.01, "offset": 1}, "ms": "ms"})
    lines = [line.split(",") for line in (tmp_path / "mine.csv").read_text().splitlines()[2:]]
    assert len(lines) == 23
    for width, kernel, act, top1, ms, _, params in lines:
        genome = (WIDTHS.index(int(width)), KERNELS.index(int(kernel)), sorted(ACTS).index(act))
        outcome = evaluate(evaluator, Candidate(0, genome, 0))
        assert isinstance(outcome, Evaluation)
        assert outcome.metrics == pytest.approx(
            {"error": 1 - float(top1) / 100, "ms": float(ms), "params": float(params)}
        )


def test_another_space_finds_its_networks_by_strings_by_its_genes_names_or_by_other_columns(tmp_path: Path) -> None:
    path, genomes = cells(tmp_path)
    space = Cell201()
    evaluator = Tabular(space, 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN)
    for number, genome in enumerate(genomes.tolist()):
        assert evaluator.measure(tuple(genome), None) == {"latency": number + 0.5}
    rows = [f"{','.join(map(str, genome))},{number}.5" for number, genome in enumerate(genomes.tolist())]
    for header, options in {
        ",".join(gene.name for gene in space.genes): {},
        "a,b,c,d,e,f": {"genes": ["a", "b", "c", "d", "e", "f"]},
    }.items():
        path.write_text("\n".join([f"{header},latency", *rows]) + "\n")
        indexed = Tabular(space, 0, metrics=["latency"], file=path, **options)  # type: ignore[arg-type]
        assert all(indexed.measure(tuple(g), None) == evaluator.measure(tuple(g), None) for g in genomes.tolist())


def test_a_network_without_a_row_or_a_number_fails_with_the_reason(tmp_path: Path) -> None:
    broken = evaluate(mine(tmp_path), Candidate(0, (0, 0, 1), 0))  # width 8, kernel 1, relu: the first row
    assert isinstance(broken, Failure)
    assert (broken.kind, broken.reason) == (FailureKind.NOT_FINITE, "metrics that are not finite: {'top1': nan}")
    path, genomes = cells(tmp_path)
    evaluator = Tabular(Cell201(), 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN)
    present = {evaluator.space.canonical(tuple(genome)) for genome in genomes.tolist()}
    absent = next(g for g in product(range(5), repeat=6) if evaluator.space.canonical(g) not in present)
    lacking = evaluate(evaluator, Candidate(0, absent, 0))
    assert isinstance(lacking, Failure)
    assert "cells.csv has no row for edge_0_1=none, edge_0_2=" in lacking.reason
    assert "take evonas.spaces.table:Table as the space" in lacking.reason
    assert evaluator.recorded_seconds(absent) is None


def test_the_worst_value_is_the_worst_in_the_table_unless_it_is_said(tmp_path: Path) -> None:
    evaluator = mine(tmp_path, metrics={
        "top1": {"column": "top1", "maximize": True}, "ms": "ms", "error": {"column": "top1", "scale": -1, "worst": 0},
    })  # fmt: skip
    rows = [line.split(",") for line in (tmp_path / "mine.csv").read_text().splitlines()[1:]]
    worst = {metric.name: metric.worst for metric in evaluator.metrics}
    assert worst == {
        "top1": min(float(row[3]) for row in rows if row[3]), "ms": max(float(row[4]) for row in rows), "error": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": []}, "'metrics' is empty"),
        ({"metrics": ["top"]}, "has no column 'top'; did you mean 'top1'"),
        ({"metrics": ["act"]}, "'act' must hold numbers, and row 1 holds 'relu'"),
        ({"metrics": ["params"]}, "'metrics' names params, a static cost of the space: leave it out here"),
        ({"metrics": ["ms"], "seconds": "top1"}, "'top1' must be known of every network"),
        ({"metrics": ["ms"], "seconds": "kernel_"}, "no column 'kernel_'; did you mean 'kernel'"),
        ({"metrics": ["ms"], "file": "other.csv"}, "the space is a table already, .*mine.csv: leave file, genes"),
        ({"metrics": ["ms"], "genes": ["act"]}, "the space is a table already"),
    ],
)
def test_options_that_a_table_cannot_serve_are_refused(options: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        mine(tmp_path, **options)


def test_another_space_needs_a_file_and_a_column_for_each_gene(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"say which table to look into, file=PATH \(evaluator.file=PATH on the command"
    ):
        Tabular(Cell201(), 0, metrics=["latency"])
    path, _ = cells(tmp_path)
    with pytest.raises(ConfigError, match="'genes' names 1 columns, and the space has 6 genes"):
        Tabular(Cell201(), 0, metrics=["latency"], file=path, genes=["cell"])
    with pytest.raises(DataError, match=r"'cell': row 1, .* does not match"):
        Tabular(Cell201(), 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN.replace("~0", "-0"))
    with pytest.raises(DataError, match=r"row \d+ has 'nor_conv_\dx\d' for .*mean 'conv_\dx\d'"):
        Tabular(
            Cell201(), 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN.replace("(?:nor_)?", "")
        )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"constraints": [{"metric": "ms", "at_most": 1.5}, {"metric": "error", "at_least": 0.05}]},
        {"gates": [{"metric": "params", "at_most": 90}, {"metric": "params", "at_least": 9, "applies_to": "initial"}]},
        {"objectives": ["error", "ms", "params"]},
        {"evaluator": {"use": "evonas.workers.tabular:Tabular", "metrics": {
            "error": {"column": "top1", "maximize": True}, "ms": "ms"}}},
    ],
)  # fmt: skip
def test_the_known_hypervolume_is_that_of_evaluating_every_network(changes: dict[str, Any], tmp_path: Path) -> None:
    built = prepare(parse(experiment(write(tmp_path / "mine.csv", broken=3), **changes)))
    genomes = product(range(len(WIDTHS)), range(len(KERNELS)), range(len(ACTS)))
    outcomes = [evaluate(built.evaluator, Candidate(number, genome, 0)) for number, genome in enumerate(genomes)]
    assert len([outcome for outcome in outcomes if isinstance(outcome, Failure)]) == 3
    admitted = [
        outcome for outcome in outcomes if isinstance(outcome, Evaluation)
        and all(gate.passes(outcome.metrics[gate.metric]) for gate in built.gates if gate.applies_to == "all")
    ]  # fmt: skip
    expected = ParetoFront.of(admitted, built.goals).hypervolume
    assert built.header().known_hypervolume == pytest.approx(expected, rel=1e-12)
    assert expected > 0


def test_known_metrics_of_another_space_are_those_of_its_canonical_genomes(all_cells: Tabular) -> None:
    space, known = all_cells.space, all_cells.known_metrics()
    canonical = [genome for genome in product(range(5), repeat=6) if space.canonical(genome) == genome]
    assert all_cells.known_genomes() == canonical
    assert known.keys() == {"params", "macs", "latency"}
    assert known["params"].tolist() == [space.costs(genome)["params"] for genome in canonical]
    numbers = {genome: number + 0.5 for number, genome in enumerate(product(range(5), repeat=6))}
    assert known["latency"].tolist() == [numbers[genome] for genome in canonical], "each has a row of its own"


def test_a_canonical_genome_without_a_row_has_the_first_row_of_the_same_network(tmp_path: Path) -> None:
    path, genomes = cells(tmp_path)
    space = Cell201()
    evaluator = Tabular(space, 0, metrics=["latency"], file=path, architecture="cell", pattern=PATTERN)
    first: dict[Genome, float] = {}
    for number, row in enumerate(map(tuple, genomes.tolist())):
        first.setdefault(space.canonical(row), number + 0.5)
    own = {row: number + 0.5 for number, row in enumerate(map(tuple, genomes.tolist()))}
    expected = {genome: own.get(genome, latency) for genome, latency in first.items()}
    assert len(expected.keys() - own.keys()) > 500, "networks of which only another genome has a row"
    assert {genome: evaluator.measure(genome, None)["latency"] for genome in expected} == expected
    assert set(evaluator.known_genomes()) == expected.keys()
    known = dict(zip(evaluator.known_genomes(), evaluator.known_metrics()["latency"].tolist(), strict=True))
    assert known == expected
    twin = next(
        genome for genome in product(range(5), repeat=6) if genome not in own and space.canonical(genome) in own
    )
    assert evaluator.measure(twin, None)["latency"] == own[space.canonical(twin)]


def test_a_search_without_a_line_of_python_finds_the_front_and_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", broken=1)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(experiment(file)))
    done = evonas("run", "mine.yaml", "--run", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = "100.00 % of the hypervolume of the true front"
    assert done.stdout.count(said) == 2, "where the search ends, and below the front: " + done.stdout
    result = json.loads((tmp_path / "run" / "front.json").read_text())
    assert result["share_reached"] == pytest.approx(1.0)
    assert result["known_hypervolume"] == pytest.approx(result["hypervolume"])
    assert result["counts"] == {"evaluated": 23, "reused": 0, "failed": 1, "rejected": 0, "turned_away": 0}
    assert {member["genes"]["act"] for member in result["front"]} <= set(ACTS)

    file.write_text("\n".join(file.read_text().splitlines()[:5]) + "\n")
    with pytest.raises(RunFolderError, match="what its space reads has changed: the fingerprint was"):
        search.resume(tmp_path / "run", ["evaluations=30"])
    history = History.read(tmp_path / "run")
    described = [space_of(history).describe(member.candidate.genome) for member in history.front.members]
    assert described == [member["genes"] for member in result["front"]], "not what the rows that are left would say"
    file.unlink()
    with pytest.raises(DataError, match="there is no table"):
        search.resume(tmp_path / "run")
    gone = evonas("front", "run", cwd=tmp_path)
    assert gone.returncode == 0, gone.stderr
    assert said in gone.stdout
    assert json.loads((tmp_path / "run" / "front.json").read_text()) == result, "genes have their names still"


def test_a_run_is_not_resumed_when_the_table_of_its_evaluator_has_changed(tmp_path: Path) -> None:
    def run_on(better: float) -> None:
        lines = [f"{a},{b},{c},{d},{e},{f},{a + b * c + better}" for a, b, c, d, e, f in product(range(5), repeat=6)]
        (tmp_path / "cells.csv").write_text("\n".join(["a,b,c,d,e,f,latency", *lines]))

    run_on(better=0.0)
    changes = {
        "space": "evonas.spaces.cell201:Cell201",
        "evaluator": {
            "use": "evonas.workers.tabular:Tabular", "file": str(tmp_path / "cells.csv"),
            "genes": ["a", "b", "c", "d", "e", "f"], "metrics": ["latency"],
        },
        "objectives": ["latency", "params"],
    }  # fmt: skip
    search.run(parse(experiment(tmp_path / "mine.csv", **changes)), tmp_path / "run")
    run_on(better=1.0)
    with pytest.raises(RunFolderError, match="what its evaluator reads has changed: the fingerprint was"):
        search.resume(tmp_path / "run", ["evaluations=32"])


def test_a_simulated_search_takes_the_seconds_of_the_table(tmp_path: Path) -> None:
    pool = {"use": "evonas.workers.simulated_pool:SimulatedPool", "workers": 1}
    changed = experiment(
        write(tmp_path / "mine.csv"), pool=pool, strategy="evonas.strategies.random_search:RandomSearch"
    )
    _, history = search.run(parse(changed), tmp_path / "run")
    assert len(history.evaluations) == 24
    widths = [WIDTHS[evaluation.candidate.genome[0]] for evaluation in history.evaluations]
    assert [evaluation.seconds for evaluation in history.evaluations] == pytest.approx([60.0 + w for w in widths])
    assert history.elapsed == pytest.approx(24 * 60 + 6 * sum(WIDTHS))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (
            "evaluator.metrics={error: {column: top1, scal: 2}, ms: ms}",
            "metrics.error.scal: there is no such key; did you",
        ),
        ("evaluator.metrics={error: {}, ms: ms}", "metrics.error.column: this key is needed"),
        ("space.genes={width: 3}", "genes.width: input should be a valid array, not 3"),
        ("space.file=nowhere.csv", "there is no table nowhere.csv"),
        ("space.genes=[with, kernel, act]", "has no column 'with'; did you mean 'width'"),
        ("space.genes=[kernel, act]", "rows 1 and 7 are the same network, kernel=1, act=relu"),
        ("space.duplicates=median", "duplicates: input should be 'refuse' or 'mean', not 'median'"),
        ("objectives=[eror, ms]", "'eror' is neither measured by"),
        ("objectives=[top1_test_error, ms]", "'top1_test_error' is measured on the test split"),
    ],
)
def test_mistakes_are_told_with_the_way_out(
    mistake: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, DataError)) as told:
        prepare(parse(experiment(write(tmp_path / "mine.csv")), [mistake]))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_the_example_of_the_docs_is_searched_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (EXPERIMENTS.parent / "docs" / "tables.md").read_text()
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "measured.csv").write_text(blocks["csv"])
    (tmp_path / "mine.yaml").write_text(blocks["yaml"])
    built = prepare(config.load(tmp_path / "mine.yaml"))
    assert built.space.size() == 5
    outcome = evaluate(built.evaluator, Candidate(0, built.space.smallest(), 0))
    assert isinstance(outcome, Evaluation)
    assert outcome.metrics == pytest.approx({"params": 4800, "error": 0.185, "ms": 1.2})


PUBLISHED = {
    "nasbench201": ("evaluator.file", "nasbench201_12epochs.parquet", 0.97),
    "nasbench_macro": ("space.file", "nasbench_macro.parquet", 0.95),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_ready_experiments_reach_nearly_all_of_the_true_front(name: str, tmp_path: Path) -> None:
    key, table, enough = PUBLISHED[name]
    if not (SHARED / table).exists():
        pytest.skip(f"the table {table} is not in {SHARED}")
    loaded = config.load(EXPERIMENTS / f"{name}.yaml", [f"{key}={SHARED / table}", "tracking=null"])
    _, history = search.run(loaded, tmp_path / "run")
    assert len(history.evaluations) == 400
    assert history.share_reached is not None
    assert enough < history.share_reached <= 1
    assert History.read(tmp_path / "run").share_reached == history.share_reached


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_ready_experiments_ask_for_their_table(name: str) -> None:
    with pytest.raises(ConfigError, match=r"file: this key is needed|say which table to look into, file=PATH"):
        prepare(config.load(EXPERIMENTS / f"{name}.yaml"))


def test_the_errors_of_nas_bench_201_are_the_published_accuracies() -> None:
    table = SHARED / "nasbench201_12epochs.parquet"
    if not table.exists():
        pytest.skip(f"the table {table.name} is not in {SHARED}")
    built = prepare(config.load(EXPERIMENTS / "nasbench201.yaml", [f"evaluator.file={table}"]))
    rows = parquet.read_table(table).slice(0, 500).to_pylist()
    for row in rows:
        measured = built.evaluator.measure(tuple(row[f"e{edge}"] for edge in range(6)), None)
        assert measured["valid_error"] == pytest.approx(1 - row["cifar10_valid_accuracy"] / 100)
        assert measured["latency_ms"] == pytest.approx(row["latency_ms_raspi4"])
