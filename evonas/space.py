"""What a search space is: genes, the network of a genome, its exact costs and its canonical form."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.errors import GenomeError

if TYPE_CHECKING:
    from torch import Tensor, nn

Genome = tuple[int, ...]
"""One option index per gene: hashable, a line of JSON, nothing more."""

Metrics = Mapping[str, float]
"""Measured or computed values by name, in natural units and direction."""


@dataclass(frozen=True, slots=True)
class Gene:
    """One decision: its name and the options to choose from."""

    name: str
    options: tuple[object, ...]


class SearchSpace(ABC):
    """A set of architectures.

    A space provides `genes`, `build` and `costs`, and `canonical` where different genomes can be equal networks.
    Everything else is derived and may be overridden. Constructing a space is cheap and imports no framework.
    """

    genes: Sequence[Gene]

    @abstractmethod
    def build(self, genome: Genome) -> nn.Module:
        """Return the network of a genome, freshly initialised from torch's global generator.

        It maps a batch of inputs to logits; in training mode it may return (logits, auxiliary logits).
        """

    @abstractmethod
    def costs(self, genome: Genome) -> Metrics:
        """Return the exact static costs without building a network: at least `params` and `macs`.

        Spaces that build no networks may know less of them.
        """

    def canonical(self, genome: Genome) -> Genome:
        """Return the one genome that stands for all genomes whose networks are equal."""
        return genome

    def features(self, genome: Genome) -> Metrics:
        """Return what predictors should see of a network besides genes and costs: nothing, unless overridden.

        Numbers by name, the same names for every genome, of what its genes hide of its graph: which operations lie on a
        path to the output, how long paths are (GRAF: Kadlecova et al., AutoML 2024). The genome is canonical, unless
        the caller wants to see others.
        """
        return {}

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        """Return the genomes of the space to take for one that was bred, the best first: it is one, unless overridden.

        A space that lacks some combinations of options offers others here, those that differ least.
        """
        return (genome,)

    def activations(self, genome: Genome) -> int | None:
        """Return how many tensor elements a forward pass keeps for the backward pass, an example; None if unknown.

        What grows with the batch counts, the input included; weights and statistics of batch norms do not.
        """
        return None

    def fingerprint(self) -> str | None:
        """Return a hash of what it reads besides code and options, as a table; None if it reads nothing."""
        return None

    def morph(
        self, parent: Genome, child: Genome, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the state that the child's network starts from, made of the `weights` that its parent's has come to.

        `fresh` is the state of the child's network as it was built. Both are states as torch's `state_dict` returns
        them, and are not written to. Tensors of equal name and shape are the parent's, and others fresh, unless
        overridden: a space that knows better lets the child compute what its parent computes, wherever it can.
        """
        alike = {name for name, value in fresh.items() if name in weights and weights[name].shape == value.shape}
        return {name: weights[name] if name in alike else value for name, value in fresh.items()}

    def recipe(self, genome: Genome) -> Mapping[str, Any]:
        """Return the options of training that the genome chooses: none, unless recipe genes have joined the space."""
        return {}

    def sample(self, rng: np.random.Generator) -> Genome:
        """Draw a genome, uniform over the options of every gene."""
        return tuple(int(rng.integers(len(gene.options))) for gene in self.genes)

    def networks(self, at_most: int) -> Sequence[Genome] | None:
        """Return all canonical genomes, in order; None if there are more genomes than `at_most`, or no list of them.

        A space that lacks some combinations of options has a list only if it overrides this; one that holds its list
        anyway returns it however long it is.
        """
        choices = [range(len(gene.options)) for gene in self.genes]
        if not self.size() == math.prod(map(len, choices)) <= at_most:
            return None
        return sorted({self.canonical(genome) for genome in product(*choices)})

    def validate(self, genome: Sequence[int]) -> Genome:
        """Return `genome` as a genome of this space; raise GenomeError if it is none."""
        if len(genome) != len(self.genes):
            raise GenomeError(f"a genome of this space has {len(self.genes)} genes, not {len(genome)}: {list(genome)}")
        for gene, index in zip(self.genes, genome, strict=True):
            if isinstance(index, bool) or not isinstance(index, int | np.integer):
                raise GenomeError(f"gene '{gene.name}' takes the index of an option, not {index!r}")
            if not 0 <= index < len(gene.options):
                raise GenomeError(
                    f"gene '{gene.name}' has options 0 to {len(gene.options) - 1} "
                    f"({', '.join(map(str, gene.options))}), not {index}"
                )
        return tuple(int(index) for index in genome)

    def describe(self, genome: Genome) -> dict[str, str]:
        """Return the chosen option of every gene by the gene's name."""
        return {gene.name: str(gene.options[index]) for gene, index in zip(self.genes, genome, strict=True)}

    def size(self) -> int:
        """Return the number of genomes (networks that are equal count each time)."""
        return int(np.prod([len(gene.options) for gene in self.genes], dtype=object))

    def smallest(self) -> Genome:
        """Return a genome of few parameters: the exact minimum where genes act independently."""
        return self._coordinate_extreme(sign=1.0)

    def largest(self) -> Genome:
        """Return a genome of many parameters: the exact maximum where genes act independently."""
        return self._coordinate_extreme(sign=-1.0)

    def _coordinate_extreme(self, sign: float) -> Genome:
        genome: Genome = (0,) * len(self.genes)
        for position, gene in enumerate(self.genes):
            choices = [(*genome[:position], option, *genome[position + 1 :]) for option in range(len(gene.options))]
            genome = min(choices, key=lambda choice: sign * self.costs(choice)["params"])
        return genome
