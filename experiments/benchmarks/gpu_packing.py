"""Candidates per hour with 1, 2, 4 and 8 at a time on one GPU.

    python experiments/benchmarks/gpu_packing.py [EXPERIMENT [KEY=VALUE ...]]

Trains the same 48 networks through RayPool with `gpus` of 1, 1/2, 1/4 and 1/8. Without an experiment: the published
skeleton of Cell201 on 10,000 images of 3 x 32 x 32, noise (what they show does not matter here), batches of 256, two
epochs. Workers are started and warmed up before the clock runs. Ends with 2 where there is no GPU.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from evonas import compose, config
from evonas.component import Component
from evonas.dataset import Dataset
from evonas.errors import EvonasError
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.experiment_recipe import ExperimentRecipe
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.workers.devices import device_facts
from evonas.workers.ray_pool import RayPool

PER_DEVICE = (1, 2, 4, 8)
NETWORKS = 48


def noise_images() -> Dataset:
    """Return images of the size of CIFAR-10 and in a fifth of their number."""
    rng = generator(0, "noise")
    images = rng.integers(0, 256, (12_500, 3, 32, 32), dtype=np.uint8)
    return Dataset.from_arrays(
        "noise", images, rng.integers(0, 10, len(images)), test_fraction=0.04, valid_fraction=0.16
    )


def plain_recipe() -> ExperimentRecipe:
    return ExperimentRecipe(
        space=Component("evonas.spaces.cell201:Cell201"),
        data=Component(f"{Path(__file__).stem}:noise_images"),
        evaluator=Component("evonas.workers.trained:Trained", {"epochs": 2, "batch_size": 256}),
        seed=0,
    )


def networks(space: SearchSpace) -> list[Genome]:
    """Return different networks, the same each time; as many as there are, where there are fewer."""
    rng, found = generator(0, "gpu packing"), dict[Genome, None]()
    for _ in range(100 * NETWORKS):
        if len(found) < NETWORKS:
            found.setdefault(space.canonical(space.sample(rng)))
    return list(found)


def evaluated(pool: RayPool, genomes: list[Genome], first_id: int) -> list[Outcome]:
    pool.submit([Candidate(first_id + number, genome, 0) for number, genome in enumerate(genomes)])
    outcomes: list[Outcome] = []
    while len(outcomes) < len(genomes):
        outcomes += pool.next_outcomes()
    return outcomes


def row(recipe: ExperimentRecipe, genomes: list[Genome], at_a_time: int) -> tuple[float, list[Outcome]]:
    """Return candidates per hour and the outcomes."""
    pool = RayPool(recipe, workers=at_a_time, cpus=1, gpus=1 / at_a_time)
    try:
        evaluated(pool, (genomes * 2)[: 2 * at_a_time], first_id=0)  # every worker starts, and loads its data
        started = time.perf_counter()
        outcomes = evaluated(pool, genomes, first_id=2 * at_a_time)
        return 3600 * len(genomes) / (time.perf_counter() - started), outcomes
    finally:
        pool.close()


def main() -> None:
    import torch

    if not torch.cuda.is_available():
        print(
            f"gpu_packing needs a GPU, and torch {torch.__version__} finds none: run it on a machine that has one, "
            "with a CUDA build of torch",
            file=sys.stderr,
        )
        sys.exit(2)
    try:
        recipe = (
            compose.prepare(config.load(Path(sys.argv[1]), sys.argv[2:])).recipe if sys.argv[1:] else plain_recipe()
        )
        genomes, facts = networks(recipe.space.build()), device_facts()
        assert facts is not None
        print(f"{facts.name}, {facts.total_bytes / 2**30:.0f} GiB, torch {torch.__version__}, {len(genomes)} networks")
        print("at a time  candidates/hour  times  seconds each  failed")
        single = 0.0
        for at_a_time in PER_DEVICE:
            rate, outcomes = row(recipe, genomes, at_a_time)
            single = single or rate
            seconds = [outcome.seconds for outcome in outcomes if isinstance(outcome, Evaluation)]
            mean, failed = float(np.mean(seconds or [np.nan])), len(outcomes) - len(seconds)
            print(f"{at_a_time:9} {rate:16,.0f} {rate / single:6.2f} {mean:13.1f} {failed:7}", flush=True)
    except EvonasError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
