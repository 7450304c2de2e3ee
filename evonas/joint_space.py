"""A space joined by genes of its networks' training: architecture and recipe are searched together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn


class JointSpace(SearchSpace):
    """The genes of `architectures`, then one for each entry of `recipe`: an option of training and what to choose from.

    So FBNetV3 (NARS; Dai et al., CVPR 2021) searches: two candidates with equal networks and different recipes are
    different candidates. Networks, costs and canonical forms are those of the architecture's genes alone. Raises
    ConfigError for a gene that the architectures have too, and for options that are not all different.
    """

    def __init__(self, architectures: SearchSpace, recipe: Mapping[str, Sequence[object]]) -> None:
        self.architectures = architectures
        self.genes = (*architectures.genes, *(Gene(name, tuple(options)) for name, options in recipe.items()))
        self._boundary = len(architectures.genes)
        named = {gene.name for gene in architectures.genes}
        for gene in self.genes[self._boundary :]:
            if gene.name in named:
                raise ConfigError(f"recipe: '{gene.name}' is a gene of the architectures already: leave it out")
            if len(set(gene.options)) < len(gene.options) or not gene.options:
                raise ConfigError(f"recipe: the options of '{gene.name}' must differ, and are {list(gene.options)}")

    def split(self, genome: Genome) -> tuple[Genome, Genome]:
        """Return the genes of the architecture and those of the recipe."""
        return genome[: self._boundary], genome[self._boundary :]

    def recipe(self, genome: Genome) -> Mapping[str, Any]:
        """Return the chosen option of every gene of the recipe by its name."""
        chosen = zip(self.genes[self._boundary :], self.split(genome)[1], strict=True)
        return {gene.name: gene.options[index] for gene, index in chosen}

    def build(self, genome: Genome) -> nn.Module:
        """Return the network of the architecture."""
        return self.architectures.build(self.split(genome)[0])

    def costs(self, genome: Genome) -> Metrics:
        """Return the costs of the architecture."""
        return self.architectures.costs(self.split(genome)[0])

    def features(self, genome: Genome) -> Metrics:
        """Return the features of the architecture."""
        return self.architectures.features(self.split(genome)[0])

    def canonical(self, genome: Genome) -> Genome:
        """Return the canonical architecture with the recipe as it is."""
        architecture, recipe = self.split(genome)
        return self.architectures.canonical(architecture) + recipe

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        """Return the architectures to take for the one that was bred, each with its recipe."""
        architecture, recipe = self.split(genome)
        return tuple(near + recipe for near in self.architectures.nearest(architecture))

    def fingerprint(self) -> str | None:
        """Return that of the architectures."""
        return self.architectures.fingerprint()

    def activations(self, genome: Genome) -> int | None:
        """Return what the architecture keeps for the backward pass."""
        return self.architectures.activations(self.split(genome)[0])

    def morph(
        self, parent: Genome, child: Genome, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return what the architectures make of it."""
        return self.architectures.morph(self.split(parent)[0], self.split(child)[0], weights, fresh)

    def sample(self, rng: np.random.Generator) -> Genome:
        """Draw an architecture as its space does, and a recipe, uniform over its options."""
        recipe = (int(rng.integers(len(gene.options))) for gene in self.genes[self._boundary :])
        return (*self.architectures.sample(rng), *recipe)

    def validate(self, genome: Sequence[int]) -> Genome:
        """Return `genome` as a genome of this space; raise GenomeError if it is none."""
        architecture, recipe = self.split(super().validate(genome))
        return self.architectures.validate(architecture) + recipe

    def describe(self, genome: Genome) -> dict[str, str]:
        """Return the architecture's description, and the chosen options of the recipe."""
        recipe = {name: str(option) for name, option in self.recipe(genome).items()}
        return {**self.architectures.describe(self.split(genome)[0]), **recipe}

    def size(self) -> int:
        """Return the number of genomes: architectures times recipes."""
        recipes = [len(gene.options) for gene in self.genes[self._boundary :]]
        return self.architectures.size() * int(np.prod(recipes, dtype=object))

    def smallest(self) -> Genome:
        """Return the smallest architecture with the first options of the recipe."""
        return self._with_first_options(self.architectures.smallest())

    def largest(self) -> Genome:
        """Return the largest architecture with the first options of the recipe."""
        return self._with_first_options(self.architectures.largest())

    def _with_first_options(self, architecture: Genome) -> Genome:
        return architecture + (0,) * (len(self.genes) - self._boundary)
