"""Progressive shrinking: the largest network first, then the genes are freed phase by phase (Cai et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from torch import nn

from evonas.errors import ConfigError, nearest, require
from evonas.space import Genome, SearchSpace
from evonas.workers.examples import Examples
from evonas.workers.supernets.method import Batch, Learner, Progress
from evonas.workers.supernets.sandwich import Sandwich


class ProgressiveShrinking(Sandwich):
    """Once-for-all (Cai et al., ICLR 2020): the largest network is trained alone, then smaller and smaller ones.

    `phases` are lists of genes, by name or pattern (`kernel*`): the first phase frees those of the first list, each
    further one frees more and keeps what is free. Genes that are not free have the largest network's option. For
    `mobile` the paper's order is [["kernel*"], ["depth*"], ["expansion*", "width*"]]. `shares` are the epochs of the
    largest network alone, then of each phase, in proportion; None for equal ones.

    In each step the largest network learns from labels, and `random_subnets` others, uniform over the free genes, learn
    from its soft labels.

    Deviations: the paper's teacher is the largest network as it was when it had been trained alone, while here the
    largest is trained on in each step; its subnets learn from labels as well as from the teacher; within a phase it
    frees depth and width option by option; its kernels are transformed and its channels sorted by importance, which is
    the supernet's affair, not this method's.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        phases: list[list[str]],
        shares: list[float] | None = None,
        random_subnets: int = 1,
    ) -> None:
        super().__init__(space, seed, random_subnets=random_subnets)
        require("random_subnets", random_subnets, random_subnets >= 1, "1 or more")
        shares = [1.0] * (len(phases) + 1) if shares is None else shares
        rule = f"{len(phases) + 1} numbers above 0: one for the largest network alone, and one for each phase"
        require("shares", shares, len(shares) == len(phases) + 1 and min(shares) > 0, rule)
        self.freed = _positions(space, phases)
        self._ends = np.cumsum(shares) / sum(shares)
        self._all_largest = space.validate(space.largest())
        self._free: frozenset[int] = frozenset()

    def check(self, epochs: int) -> None:
        """Raise ConfigError unless the largest network alone and each phase have an epoch."""
        if len(set(self._phases(epochs))) <= len(self.freed):
            raise ConfigError(
                f"'epochs: {epochs}' are too few: the largest network alone and each of the {len(self.freed)} "
                "phases need an epoch: train longer, name fewer phases, or choose other 'shares'"
            )

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        """Free the genes of the phase that the middle of the epoch lies in."""
        phase = self._phases(progress.epochs)[progress.epoch]
        self._free = frozenset[int]().union(*self.freed[:phase])
        return supernet

    def students(
        self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator
    ) -> Sequence[Genome]:
        """Return random genomes of the free genes; none while the largest network is trained alone."""
        return [self._shrunk(rng) for _ in range(self.random_subnets)] if self._free else []

    def _phases(self, epochs: int) -> list[int]:
        """Return the phase of each epoch, 0 where the largest network is trained alone."""
        middles = (np.arange(epochs) + 0.5) / epochs
        return np.searchsorted(self._ends, middles).tolist()  # type: ignore[no-any-return]

    def _shrunk(self, rng: np.random.Generator) -> Genome:
        sampled = self.space.sample(rng)
        return self.space.canonical(
            tuple(
                option if gene in self._free else largest
                for gene, (option, largest) in enumerate(zip(sampled, self._all_largest, strict=True))
            )
        )


def _positions(space: SearchSpace, phases: Sequence[Sequence[str]]) -> list[frozenset[int]]:
    """Return the genes of each phase; ConfigError where a pattern has none, or a gene has no phase."""
    names = [gene.name for gene in space.genes]
    for pattern in (pattern for phase in phases for pattern in phase):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"phases: no gene of the space is named '{pattern}'{nearest(pattern, names)}")
    found = [
        frozenset(place for place, name in enumerate(names) if any(fnmatchcase(name, pattern) for pattern in phase))
        for phase in phases
    ]
    if left := [name for place, name in enumerate(names) if not any(place in phase for phase in found)]:
        raise ConfigError(f"phases: no phase frees {', '.join(left)}: name them in one, or add a last phase ['*']")
    return found
