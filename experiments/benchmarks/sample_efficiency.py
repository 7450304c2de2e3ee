"""How many evaluations strategies need: random, pymoo, DEAP, Optuna and all of ours on tables of measured networks.

    python experiments/benchmarks/sample_efficiency.py [--problem NAME ...] [--only NAME ...] [--seeds 20] [...]

`--help` lists the options. Every finished run (problem, contestant, seed) is appended to `runs.jsonl` in `--out` at
once, and a rerun skips it, so that a long benchmark can be cut and goes on. Tables, `summary.csv`, `summary.json`,
`tables.md` and the curves are made of what is there. `--batch-seconds` measures what a batch of ten takes of the
strategy itself when the archive holds 500, the mean and the most of ten of them.

The share is the hypervolume of all that was evaluated over that of the whole table, both objectives minimised and the
reference point the worst value of either in the table. On `latency`, `params` and `macs` nobody knows which genomes
are one network: a table has a row for each genome, isomorphic cells differ in it by noise, and its true front is made
of such differences; those that propose canonical cells only could reach 99.55 % on `latency`. On `folded` the networks
are the 5,234 canonical rows; ours know which genomes are equal and rivals do not. An evaluation is a proposal: those
that propose a genome twice pay twice. Ours never do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import yaml
from efficiency_problems import PROBLEMS, TABLES, problem
from efficiency_report import draw, fill_in, table, write
from efficiency_rivals import POPULATION, RIVALS
from efficiency_runs import Contestant, batch_seconds, find, keep, kept, ours, run
from efficiency_summary import Summary, summary
from rich.console import Console

from evonas.errors import EvonasError

ARCHIVE, BATCHES = 500, 10
OURS: dict[str, dict[str, object]] = {
    "random search": {"use": "evonas.strategies.random_search:RandomSearch"},
    "NSGA-II": {"use": "evonas.strategies.pymoo_nsga2:NSGA2", "population": POPULATION},
    "NSGA-III": {"use": "evonas.strategies.pymoo_nsga3:NSGA3", "population": POPULATION},
    "SMS-EMOA": {"use": "evonas.strategies.pymoo_sms_emoa:SMSEMOA", "population": POPULATION},
    "(mu + lambda)": {"use": "evonas.strategies.deap_mu_plus_lambda:MuPlusLambda", "population": POPULATION},
    "steady-state NSGA-II": {"use": "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", "population": POPULATION},
    "aging evolution": {
        "use": "evonas.strategies.aging_evolution:AgingEvolution", "population": POPULATION, "sample": 5,
    },
    "local search": {"use": "evonas.strategies.local_search:LocalSearch", "population": POPULATION},
    "expected hypervolume": {"use": "evonas.strategies.expected_hypervolume:ExpectedHypervolume"},
    "LINAS": {"use": "evonas.strategies.linas:LINAS"},
    "MSuNAS": {"use": "evonas.strategies.msunas:MSuNAS"},
    "neural predictor": {"use": "evonas.strategies.neural_predictor:NeuralPredictor"},
    "GBDT-NAS": {"use": "evonas.strategies.gbdt_nas:GBDTNAS"},
    "BANANAS": {"use": "evonas.strategies.bananas:BANANAS"},
}  # fmt: skip
CONTESTANTS = {
    **{name: ours(name, recipe) for name, recipe in OURS.items()},
    **{name: Contestant(name, {"rival": name}) for name in RIVALS},
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    contestants = [CONTESTANTS[name] for name in options.only or ([] if options.strategy else CONTESTANTS)]
    contestants += [ours(text, yaml.safe_load(text)) for text in options.strategy]
    if options.batch_seconds:
        _batches(options, contestants)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.kept:
        _run_missing(options, contestants)
    console = Console(width=None if sys.stdout.isatty() else 150)
    runs, problems, summaries = kept(options.out / "runs.jsonl"), [], list[Sequence[Summary]]()
    for name in options.problem:
        searched = problem(name, options.tables)
        rows = []
        for contestant in contestants:
            found = [find(runs, name, contestant, seed, options.evaluations) for seed in range(options.seeds)]
            if present := [run for run in found if run]:
                rows.append(summary(searched, present))
        problems.append(searched)
        summaries.append(sorted(rows, key=lambda row: -row.shares[-1].mean))
        console.print(table(searched, summaries[-1]))
    write(options.out, problems, summaries)
    if options.document:
        fill_in(options.document, problems, summaries)
    draw(options.picture or options.out / "sample_efficiency.png", problems, summaries)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", choices=PROBLEMS, default=PROBLEMS[:3])
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, metavar="NAME", help=", ".join(CONTESTANTS))
    parser.add_argument("--strategy", action="append", default=[], metavar="YAML",
                        help="another, as in an experiment: '{use: package.module:Mine, population: 10}'")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of the two parquet files (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/sample_efficiency"), help="folder (%(default)s)")
    parser.add_argument("--picture", type=Path, help="where the curves go (in --out)")
    parser.add_argument("--document", type=Path, help="a Markdown file whose tables are replaced")
    parser.add_argument("--kept", action="store_true", help="run nothing, show what is kept")
    parser.add_argument("--batch-seconds", action="store_true", help="measure ours with a full archive instead")
    return parser.parse_args(arguments)


def _run_missing(options: argparse.Namespace, contestants: Sequence[Contestant]) -> None:
    """Run what no kept run is of, all contestants with the first seed before any with the second."""
    path = options.out / "runs.jsonl"
    runs = kept(path)
    missing = [
        (name, contestant, seed)
        for seed in range(options.seeds)
        for name in options.problem
        for contestant in contestants
        if not find(runs, name, contestant, seed, options.evaluations)
    ]
    for name in options.problem:
        problem(name, options.tables)  # says here what is missing
    if not missing:
        return
    with _processes(options.processes) as pool:
        flying = [
            pool.submit(run, name, options.tables, contestant, seed, options.evaluations)
            for name, contestant, seed in missing
        ]
        for number, landed in enumerate(as_completed(flying), start=1):
            done = landed.result()
            keep(path, done)
            print(f"{number}/{len(missing)}  {done.problem}  {done.contestant}  seed {done.seed}  {done.seconds:.1f} s",
                  file=sys.stderr, flush=True)  # fmt: skip


def _processes(count: int) -> ProcessPoolExecutor:
    """Return processes of one thread each: seconds of CPU are then seconds of a core."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


def _batches(options: argparse.Namespace, contestants: Sequence[Contestant]) -> None:
    """Print what a batch takes of the strategy itself, and keep it in `batch_seconds.json`."""
    measured = {}
    ours = [contestant for contestant in contestants if "use" in contestant.recipe]
    with _processes(1) as pool:
        for contestant, name in itertools.product(ours, options.problem):
            seconds = pool.submit(batch_seconds, name, options.tables, contestant, ARCHIVE, BATCHES).result()
            measured[f"{contestant.name}, {name}"] = seconds
            mean, most = statistics.mean(seconds), max(seconds)
            print(f"{contestant.name:32}{name:10}{mean:9.3f} s, at most {most:.3f}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "batch_seconds.json").write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    try:
        main()
    except EvonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
