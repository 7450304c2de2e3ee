"""The parts of a supernet's training, built from its experiment in whatever process trains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from evonas.component import Component, checked
from evonas.config_supernet import RECIPE, Curves, SupernetExperiment
from evonas.dataset import Dataset
from evonas.errors import ConfigError, EvonasError
from evonas.seeds import derive_seed, generator
from evonas.space import Genome, SearchSpace
from evonas.workers.devices import memory_errors
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.method import Method, subnet_of
from evonas.workers.supernets.ranks import ALONE, Ranks
from evonas.workers.supernets.training import Training
from evonas.workers.training import seeded


@dataclass(frozen=True)
class Parts:
    """A training that has not begun, and what its subnets are measured on."""

    space: SearchSpace
    recipe: Recipe
    curves: Curves
    training: Training
    train: Examples
    valid: Examples

    @classmethod
    def of(cls, experiment: SupernetExperiment, data: Dataset, device: torch.device, ranks: Ranks = ALONE) -> Parts:
        """Build space, supernet, method and recipe, and bring the data to the device; raise an EvonasError if wrong."""
        space: SearchSpace = checked(experiment.space, SearchSpace).build()
        recipe: Recipe = Component(RECIPE, experiment.recipe).build()
        recipe.check_inputs(data.input_shape)
        supplies = {"space": space, "seed": experiment.seed}
        method: Method = checked(experiment.method, Method).build(supplies)
        train, valid = (Examples.of(data, split, device) for split in (data.train, data.valid))
        with seeded(derive_seed(experiment.seed, "weights"), torch.device("cpu")):
            supernet = _supernet(experiment.supernet, supplies)
        _try(supernet, space, train.first(2), len(data.classes), experiment)
        return cls(
            space,
            recipe,
            experiment.curves,
            Training(supernet, method, train, recipe, experiment.seed, ranks),
            train,
            valid,
        )

    def measured_subnets(self, random: int, seed: int) -> dict[str, Genome]:
        """Return the subnets whose errors tell how the training goes: the same at every epoch."""
        rng = generator(seed, "curves")
        genomes = {"smallest": self.space.smallest(), "largest": self.space.largest()}
        genomes |= {f"random_{number + 1}": self.space.sample(rng) for number in range(random)}
        return {name: self.space.canonical(genome) for name, genome in genomes.items()}


def _supernet(component: Component, supplies: dict[str, object]) -> nn.Module:
    supernet = component.build(supplies)
    if not isinstance(supernet, nn.Module) or not callable(getattr(supernet, "subnet", None)):
        raise ConfigError(
            f"supernet: {component.use} must give a torch module with a method subnet(genome), not a "
            f"{type(supernet).__name__}"
        )
    return supernet


def _try(supernet: nn.Module, space: SearchSpace, two: Examples, classes: int, experiment: SupernetExperiment) -> None:
    """Raise ConfigError unless the largest subnet returns a logit a class for two examples."""
    supernet.to(two.device)
    try:
        with memory_errors(), seeded(0, two.device), torch.no_grad():
            logits = subnet_of(supernet, space.canonical(space.largest())).eval()(two.batch(slice(2))[0])
    except (EvonasError, MemoryError):
        raise
    except Exception as error:  # whatever a user's own code, or a supernet of another space, may raise
        raise ConfigError(
            f"supernet: {experiment.supernet.use} does not work with the space {experiment.space.use}: "
            f"{type(error).__name__}: {error}: name the supernet of that space"
        ) from error
    if (shape := tuple(logits.shape)) != (2, classes):
        raise ConfigError(
            f"supernet: subnets must return one logit a class: the data has {classes} classes, and two of its inputs "
            f"give the shape {shape}: set 'classes'"
        )
