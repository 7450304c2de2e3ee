"""A training that stops and goes on elsewhere ends as one that never stopped, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.evaluation import NotFinite
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.training import Epoch, Training, score, seeded, train
from evonas.workers.weight_store import WeightStore

CPU = torch.device("cpu")
DATA = digits(train_size=120)
TRAIN, VALID = Examples.of(DATA, DATA.train, CPU), Examples.of(DATA, DATA.valid, CPU)
BASE = {"epochs": 4, "batch_size": 32, "learning_rate": 0.05, "weight_decay": 1e-3, "warmup_epochs": 1.5}


class Network(nn.Sequential):
    """Statistics, dropout, and a path that is dropped: all that a state must hold besides weights."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, 10)
        )
        self.drop_path = 0.0

    def forward(self, inputs: Tensor) -> Tensor:
        dropped = torch.rand(len(inputs), 1) < self.drop_path
        logits: Tensor = super().forward(inputs)
        return torch.where(dropped, logits * 0.5, logits) if self.training else logits


def end(network: nn.Module, last: Epoch, recipe: Recipe) -> tuple[bytes, int, float, float]:
    weights = torch.cat([value.double().flatten() for value in network.state_dict().values()])
    return weights.numpy().tobytes(), last.number, last.train_loss, score(network, VALID, recipe).loss


def in_one_go(recipe: Recipe) -> tuple[bytes, int, float, float]:
    with seeded(3, CPU):
        network = Network()
        return end(network, train(network, TRAIN, recipe, 3), recipe)


@pytest.mark.parametrize(
    "changed",
    [
        {"shift": 1, "cutout": 2, "flip": True, "drop_path": 0.4, "gradient_clip": 1.0},
        {"optimizer": "adamw", "learning_rate": 0.003, "shift": 1},
        {"momentum": 0.0},
        {"mixed_precision": True},
    ],
)
@pytest.mark.parametrize("stops", [(1,), (1, 2, 3), (4,)])
def test_continuing_equals_never_having_stopped(
    changed: dict[str, object], stops: tuple[int, ...], tmp_path: Path
) -> None:
    recipe = Recipe(**{**BASE, **changed})  # type: ignore[arg-type]
    store = WeightStore(tmp_path)
    for until in (*stops, 4):
        torch.manual_seed(until)  # what was drawn elsewhere meanwhile does not matter
        with seeded(3, CPU):
            network = Network()
            training = Training(network, TRAIN, recipe, 3)
            if kept := store.load("it"):
                training.restore(*kept)
            last = training.run(until)
            assert last.number == until
            store.save("it", *training.state())
            got = end(network, last, recipe)
    assert got == in_one_go(recipe)


def test_a_state_is_that_of_its_moment() -> None:
    recipe = Recipe(**BASE)  # type: ignore[arg-type]
    with seeded(3, CPU):
        first = Training(Network(), TRAIN, recipe, 3)
        first.run(1)
        state = first.state()
        first.run(4)
    with seeded(0, CPU):
        network = Network()
        second = Training(network, TRAIN, recipe, 3)
        second.restore(*state)
        assert end(network, second.run(4), recipe) == in_one_go(recipe)


def test_every_part_of_a_state_matters() -> None:
    recipe = Recipe(**{**BASE, "shift": 1})  # type: ignore[arg-type]
    with seeded(3, CPU):
        first = Training(Network(), TRAIN, recipe, 3)
        first.run(1)
        tensors, facts = first.state()
    assert {name.partition(".")[0] for name in tensors} == {"network", "optimizer", "generator"}
    other = torch.Generator().manual_seed(99).get_state()
    changed = {
        "network.1.running_mean": torch.zeros(4),
        "optimizer.0.momentum_buffer": torch.zeros(4, 1, 3, 3),
        **{f"generator.{name}": other for name in ("order", "noise", "torch")},
    }
    for name, value in changed.items():
        with seeded(3, CPU):
            network = Network()
            second = Training(network, TRAIN, recipe, 3)
            second.restore({**tensors, name: value}, facts)
            assert end(network, second.run(4), recipe) != in_one_go(recipe), name


def test_a_loss_that_is_not_finite_ends_a_continued_training_too() -> None:
    recipe = Recipe(**BASE)  # type: ignore[arg-type]
    training = Training(Network(), TRAIN, recipe, 3)
    training.run(1)
    tensors, facts = training.state()
    tensors["network.5.bias"].fill_(float("nan"))
    training.restore(tensors, facts)
    with pytest.raises(NotFinite, match="epoch 2, step 1"):
        training.run(4)
