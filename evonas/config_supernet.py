"""The file of a supernet: strict, frozen models of what YAML and `key=value` overrides may say of its training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from evonas.component import Component
from evonas.config import ComponentField, Name, Strict, checked_options, parsed, read

RECIPE = "evonas.workers.recipe:Recipe"
RECIPE_DEFAULTS: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 64,
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "warmup_epochs": 1.0,
}
"""What differs from the recipe's own defaults, or has none there."""

CHANGEABLE = frozenset({"name", "curves", "address", "tracking", "runs"})
"""The keys that may differ when a training is resumed."""


class Curves(Strict):
    """What is measured after an epoch: the smallest and the largest subnet, and so many random ones.

    Batch norms are recalibrated on the first so many `examples` of the training split, and errors are those of the
    first so many of the validation split; `every` so many epochs, and after the last.
    """

    random_subnets: int = Field(default=3, ge=0)
    examples: int = Field(default=1000, ge=2)
    every: int = Field(default=1, ge=1)


class SupernetExperiment(Strict):
    """The training of a supernet; every key has a default, so a file says only what differs.

    `recipe` has the options of `Recipe`. `workers` train on parts of every batch, each with `cpus` threads and, unless
    `device` is "cpu", a GPU if there are that many; more than one are Ray's, of the cluster at `address` or
    RAY_ADDRESS, or of this machine.
    """

    name: Name = "supernet"
    seed: int = Field(default=0, ge=0)
    space: ComponentField = Component("evonas.spaces.cell201:Cell201")
    data: ComponentField = Component("evonas.workers.datasets:digits")
    supernet: ComponentField = Component("evonas.spaces.cell201_supernet:Cell201Supernet")
    method: ComponentField = Component("evonas.workers.supernets.sandwich:Sandwich")
    recipe: dict[str, Any] = Field(default={})
    workers: int = Field(default=1, ge=1)
    cpus: int = Field(default=1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    curves: Curves = Curves()
    address: str | None = None
    tracking: ComponentField | None = Component("evonas.tracking.mlflow_training:MLflowTraining")
    runs: Path = Path("runs")

    def plain(self) -> dict[str, Any]:
        """Return the experiment as JSON-plain values."""
        return self.model_dump(mode="json")

    def decisive(self) -> dict[str, Any]:
        """Return all that decides the weights, as plain values."""
        return {key: value for key, value in self.plain().items() if key not in CHANGEABLE}

    def identity(self) -> str:
        """Return a hash of what is decisive."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()[:16]


def load(path: Path, overrides: Sequence[str] = ()) -> SupernetExperiment:
    """Read a supernet's file and apply `key=value` overrides; raise ConfigError for whatever is wrong."""
    return parse(read(path), overrides, origin=str(path))


def parse(document: Mapping[str, Any], overrides: Sequence[str] = (), origin: str = "supernet") -> SupernetExperiment:
    """Turn plain values into an experiment whose options are checked and complete with defaults."""
    experiment = parsed(SupernetExperiment, document, overrides, origin)
    recipe = checked_options(Component(RECIPE, {**RECIPE_DEFAULTS, **experiment.recipe}), f"{origin}: recipe")
    return experiment.model_copy(update={"recipe": dict(recipe.options)})
