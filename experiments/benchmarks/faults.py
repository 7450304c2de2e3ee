"""Every fault that a search must survive, produced for real, and what it cost.

    python experiments/benchmarks/faults.py [--quick] [--only FAULT ...]

Each search runs in a process of its own (`evonas run`, `evonas resume`), meets the fault at random but seeded moments,
and must end with the evaluations and the front of the same search that nothing happened to. Prints a row for each:

    times     how often the fault happened
    lost      outcomes that were journaled and are gone or changed, and candidates without an outcome
    again     evaluations that were begun a second time
    recovery  median of the seconds from the fault to the next outcome or, where a worker was hit, to the outcome of the
              candidate that it held

Ends with 1 if anything was lost or differs. A fault that cannot be produced here says why.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import fault_drivers
import fault_nodes
import fault_workers
from fault_bench import LINE, Bench, NotHere, Row
from fault_search import Lost

FAULTS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "driver-killed": fault_drivers.driver_killed,
    "driver-interrupted": fault_drivers.driver_interrupted,
    "actor-killed": fault_workers.actor_killed,
    "actor-memory": fault_workers.actor_memory,
    "evaluation-hangs": fault_workers.evaluation_hangs,
    "evaluator-raises": fault_workers.evaluator_raises,
    "evaluator-broken": fault_workers.evaluator_broken,
    "metrics-not-finite": fault_workers.metrics_not_finite,
    "node-leaves": fault_nodes.node_leaves,
    "node-joins": fault_nodes.node_joins,
    "cluster-gone": fault_nodes.cluster_gone,
    "disk-full": fault_drivers.disk_full,
    "trained": fault_drivers.trained,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help=", ".join(FAULTS)
    )
    parser.add_argument("--quick", action="store_true", help="fewer times")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(asdict(fault_drivers.full_disk(chosen.inside))))
        return
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a job in the background ignores it, and so do its children
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    bench, good = Bench(folder, chosen.quick), True
    print(LINE.format("fault", "where", "times", "lost", "again", "recovery", "as if nothing had been"), flush=True)
    for name in chosen.only:
        try:
            for row in FAULTS[name](bench):
                good &= row.good
                print(row, flush=True)
        except NotHere as error:
            print(f"{name}: not here: {error}", flush=True)
        except Lost as error:
            good = False
            print(f"{name}: LOST: {error}; see {folder}", flush=True)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    print("nothing was lost" if good else f"SOMETHING WAS LOST, see {folder}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
