"""What Pareto-aware stopping saves: the quickstart's search with and without it, for as many networks.

    python experiments/benchmarks/stopping.py [--seeds 2] [--networks 100] [--checked 0.3] [--runs FOLDER] [...]

Both search `experiments/quickstart.yaml` with NSGA-II of population 20 and stop after so many networks have been
trained to the end or stopped. The one judges trainings after epochs 1, 2 and 4 of 8, and trains a share `--checked` of
those that it would stop to the end all the same: `false` are those of them that are on the front at the end. Seconds
are those of evaluations; what was saved is estimated from the mean seconds of the rungs that were left out.

Finished searches stay in `--runs`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evonas import config, search
from evonas.compose import prepare
from evonas.errors import EvonasError
from evonas.history import History
from evonas.strategies.pareto_stopping import Savings

EXPERIMENT = Path(__file__).resolve().parents[1] / "quickstart.yaml"
RUNGS = 4  # the full training counts too
NSGA2 = "{use: evonas.strategies.pymoo_nsga2:NSGA2, population: 20}"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    print(f"{'seed':>4}{'stopping':>10}{'hypervolume':>13}{'networks':>10}{'stopped':>9}{'seconds':>9}{'saved':>8}"
          f"{'checked':>9}{'false':>7}")  # fmt: skip
    for seed in range(options.seeds):
        stopping = "{use: evonas.strategies.pareto_stopping:ParetoStopping, strategy: " + NSGA2
        stopping += f", checked: {options.checked}, networks: {options.networks}" + "}"
        length = f"evaluations={options.networks}"
        without = _searched(options, seed, f"without-{options.networks}", [f"strategy={NSGA2}", length])
        print(f"{seed:4}{'no':>10}{without.front.hypervolume:13.4f}{len(without.evaluations):10}{0:9}"
              f"{without.evaluated_seconds:9.0f}{0:8}", flush=True)  # fmt: skip
        name, length = f"with-{options.networks}-{options.checked:g}", f"evaluations={RUNGS * options.networks}"
        rungs = ["evaluator.rungs=[1,2,4]", length]
        history = _searched(options, seed, name, [f"strategy={stopping}", *rungs])
        savings = Savings(**history.remarks)  # type: ignore[arg-type]
        print(f"{seed:4}{'yes':>10}{history.front.hypervolume:13.4f}{savings.finished + savings.stopped:10}"
              f"{savings.stopped:9}{savings.seconds_spent:9.0f}{savings.seconds_saved:8.0f}{savings.checked:9}"
              f"{savings.false_stops:7}", flush=True)  # fmt: skip


def _searched(options: argparse.Namespace, seed: int, name: str, settings: Sequence[str]) -> History:
    """Search, unless that was done before; return what happened."""
    overrides = [f"seed={seed}", "tracking=null", "pool.workers=2", *settings, *options.overrides]
    experiment = prepare(config.load(EXPERIMENT, overrides)).experiment
    path: Path = options.runs / f"{name}-{seed}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return search.run_or_resume(experiment, path, lambda search, path: [])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--networks", type=int, default=100, help="of each search (%(default)s)")
    parser.add_argument("--checked", type=float, default=0.3, help="share (%(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/stopping"), help="what is kept (%(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except EvonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
