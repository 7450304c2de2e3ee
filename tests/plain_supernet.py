"""Networks without batch norm on shared weights, and a method whose process dies once: for training by several."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet
from evonas.workers.supernets.method import Batch, Learner, Progress
from evonas.workers.supernets.sandwich import Sandwich
from evonas.workers.supernets.single_path import SinglePath

if TYPE_CHECKING:
    import numpy as np

    from evonas.workers.examples import Examples

WIDTHS = (4, 8, 16)


class PlainSpace(SearchSpace):
    """A hidden layer of some width on the digits."""

    genes = (Gene("width", WIDTHS),)

    def __init__(self, inputs: int = 64) -> None:
        self.inputs = inputs

    def build(self, genome: Genome) -> nn.Module:
        width = WIDTHS[genome[0]]
        return nn.Sequential(nn.Flatten(), nn.Linear(self.inputs, width), nn.ReLU(), nn.Linear(width, 10))

    def costs(self, genome: Genome) -> Metrics:
        width = WIDTHS[genome[0]]
        return {"params": (self.inputs + 1) * width + (width + 1) * 10, "macs": (self.inputs + 10) * width}


class PlainSupernet(nn.Module, Supernet):
    """The first units of the widest layer."""

    def __init__(self, space: PlainSpace) -> None:
        super().__init__()
        self.space = space
        self.network = space.build((2,))

    def subnet(self, genome: Genome) -> nn.Module:
        width = WIDTHS[genome[0]]
        hidden, head = self._layer(1), self._layer(3)
        takes = {
            "1.weight": lambda: hidden.weight[:width],
            "1.bias": lambda: hidden.bias[:width],
            "3.weight": lambda: head.weight[:, :width],
            "3.bias": lambda: head.bias,
        }
        return Subnet(lambda: self.space.build(genome), takes, head.bias.device)

    def _layer(self, number: int) -> nn.Linear:
        layer = self.network.get_submodule(str(number))
        assert isinstance(layer, nn.Linear)
        return layer


class DyingOnce(Sandwich):
    """The sandwich rule; the first process that reaches this step dies, unless the `marker` says that one has."""

    def __init__(self, space: SearchSpace, seed: int, *, marker: Path, dies_at: int) -> None:
        super().__init__(space, seed)
        self.marker, self.dies_at, self.steps = Path(marker), dies_at, 0

    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor:
        self.steps += 1
        if self.steps == self.dies_at:
            try:
                self.marker.touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().step(supernet, batch, learner, rng)


class LateNaN(SinglePath):
    """Single paths, whose loss is not finite from the third epoch on."""

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        self.epoch = progress.epoch
        return supernet

    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor | float:
        return float("nan") if self.epoch == 2 else super().step(supernet, batch, learner, rng)


def plain_experiment(**changes: Any) -> dict[str, Any]:
    """Return the values of an experiment that trains the plain supernet in a second."""
    recipe = {"epochs": 3, "batch_size": 50, "learning_rate": 0.05, "warmup_epochs": 0.0}
    return {
        "name": "plain",
        "space": "plain_supernet:PlainSpace",
        "data": {"train_size": 100},
        "supernet": "plain_supernet:PlainSupernet",
        "method": "evonas.workers.supernets.single_path:SinglePath",
        "recipe": {**recipe, **changes.pop("recipe", {})},
        "curves": {"examples": 50, "random_subnets": 1},
        "device": "cpu",
        "tracking": None,
        **changes,
    }
