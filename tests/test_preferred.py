"""Only preferred subnets are trained: the best by a proxy among all of similar cost."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from supernet_method import EXAMPLES, RECIPE, batch_of, gradients, learner
from tiny_space import TinySpace
from tiny_supernet import TinySupernet

from evonas.errors import EvonasError
from evonas.seeds import generator
from evonas.space import Genome
from evonas.workers.supernets.preferred import Preferred
from evonas.workers.supernets.training import Training

SPACE = TinySpace()
GENOMES = list(product(range(3), range(3), range(2)))
SCORES = {genome: float(score) for genome, score in zip(GENOMES, generator(0, "scores").permutation(18), strict=True)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [",".join([*SPACE.describe(genome).values(), str(score)]) for genome, score in SCORES.items()]
    (tmp_path / "scores.csv").write_text("\n".join(["width,kernel,depth,synflow", *rows]) + "\n")
    return tmp_path / "scores.csv"


def preferred(file: Path, **options: Any) -> Preferred:
    return Preferred(SPACE, 0, scores=file, **{"proxy": "synflow", "buckets": 3, "keep": 2, **options})


def test_the_best_of_similar_cost_are_preferred(file: Path) -> None:
    by_cost = sorted(GENOMES, key=lambda genome: SPACE.costs(genome)["macs"])
    best = [sorted(by_cost[first : first + 6], key=lambda g: -SCORES[g])[:2] for first in (0, 6, 12)]
    assert preferred(file).buckets == best
    everything = preferred(file, buckets=1, keep=18).buckets
    assert everything == [sorted(GENOMES, key=lambda genome: -SCORES[genome])]


def test_all_preferred_subnets_are_drawn_and_no_others(file: Path) -> None:
    method, rng = preferred(file), np.random.default_rng(0)
    drawn: list[Genome] = [method.draw(rng) for _ in range(600)]
    assert set(drawn) == {genome for bucket in method.buckets for genome in bucket}
    assert min(map(drawn.count, drawn)) > 60, "each in about 100 of 600"


def test_a_step_has_the_gradients_of_the_subnet_alone(file: Path) -> None:
    torch.manual_seed(0)
    supernet, method, batch = TinySupernet(SPACE), preferred(file, buckets=1, keep=1), batch_of(16)
    loss = method.step(supernet, batch, learner(), np.random.default_rng(0))
    stepped = gradients(supernet)
    supernet.zero_grad()
    own = torch.nn.functional.cross_entropy(supernet.subnet(method.buckets[0][0])(batch.inputs), batch.labels)
    own.backward()
    assert float(loss) == pytest.approx(float(own.detach()))
    assert all(torch.allclose(gradient, stepped[name]) for name, gradient in gradients(supernet).items())


def test_training_goes_on_with_the_same_subnets_though_scores_have_changed(file: Path) -> None:
    def training() -> Training:
        torch.manual_seed(0)
        return Training(TinySupernet(SPACE), preferred(file), EXAMPLES, RECIPE, 0)

    whole = training()
    whole.epoch()
    kept, facts = {name: array.copy() for name, array in whole.arrays().items()}, whole.facts()
    whole.epoch()
    lines = file.read_text().splitlines()
    header, *rows = lines
    file.write_text("\n".join([header, *(f"{row.rpartition(',')[0]},{n}" for n, row in enumerate(rows))]) + "\n")
    resumed = training()
    resumed.restore(kept, facts)
    resumed.epoch()
    assert all(np.array_equal(array, resumed.arrays()[name]) for name, array in whole.arrays().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxy": "synflo"}, "did you mean 'synflow'"),
        ({"cost": "mac"}, "'cost: mac' is no static cost of the space; did you mean 'macs'"),
        ({"buckets": 19}, "too few for 19 buckets"),
        ({"keep": 0}, "'keep' must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str, file: Path) -> None:
    with pytest.raises(EvonasError, match=message):
        preferred(file, **options).check(epochs=1)


def test_a_trained_supernet_needs_the_scores_no_more(file: Path) -> None:
    trained = preferred(file)
    state = trained.state()
    file.unlink()
    inheriting = preferred(file)
    inheriting.restore(TinySupernet(SPACE), state)
    assert inheriting.buckets == trained.buckets
    with pytest.raises(EvonasError, match="scores"):
        Training(TinySupernet(SPACE), preferred(file), EXAMPLES, RECIPE, 0)
