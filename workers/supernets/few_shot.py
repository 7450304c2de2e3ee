"""Few-shot supernets: split where the gradients of a gene's options disagree (Hu et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from evonas.errors import require
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.workers.examples import Examples
from evonas.workers.supernets.method import Learner, Progress, subnet_of
from evonas.workers.supernets.single_path import SinglePath
from evonas.workers.supernets.split import SplitSupernet, split, split_as, splits

Options = tuple[tuple[int, ...], ...]
"""The options of every gene that a part of the supernet has the weights of."""

_DRAWS = 100  # of the other genes, in search of canonical genomes


class FewShot(SinglePath):
    """Trains single paths, and splits the supernet on the way where sharing weights hurts most.

    Hu et al., "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022. The gradient of the shared weights is
    compared between the options of a gene, by cosine; of all genes, that one splits the supernet whose options fall
    into two groups that agree least with each other, and each group goes on with weights of its own. Every part is
    split in that way `splits` times, on a gene of its own, so that there are 2 ** splits parts.

    The first split is made after the share `warmup` of the epochs, the others divide the rest equally. A step trains
    one path, in the part that it belongs to: the steps, and what they cost, are those of an unsplit supernet.

    It trains with one worker: several would each choose a split of their own, and rounding may part them.

    Deviations: gradients are compared at the weights that both options train, each averaged over `contexts` draws of
    the other genes, the same for all options, on `matched_examples` training examples that are not augmented; the cut
    is the mean cosine of the pairs across it, not their sum, so that genes with different numbers of options can be
    compared; the parts are trained on together, where the paper makes each a supernet of its own. Momentum begins anew
    at a split.
    """

    divisible = False

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        splits: int = 1,
        warmup: float = 0.4,
        contexts: int = 4,
        matched_examples: int = 256,
    ) -> None:
        super().__init__(space, seed)
        require("splits", splits, splits >= 1, "1 or more")
        require("warmup", warmup, 0 < warmup < 1, "a share of the epochs, above 0 and below 1")
        require("contexts", contexts, contexts >= 1, "1 or more")
        require("matched_examples", matched_examples, matched_examples >= 2, "2 or more")
        self.splits = splits
        self.warmup = warmup
        self.contexts = contexts
        self.matched_examples = matched_examples
        self._table: np.ndarray | None = None

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        """Return the supernet with each part split in two, if that is due."""
        due = self._level(progress.epoch, progress.epochs) - self._level(progress.epoch - 1, progress.epochs)
        if not due:
            return supernet
        rng = generator(self.seed, "few shot", progress.epoch)
        rows = torch.from_numpy(np.sort(rng.permutation(len(examples))[: self.matched_examples]))
        inputs, labels = examples.batch(rows.to(examples.inputs.device))

        def loss(network: nn.Module) -> Tensor:
            return learner.label_losses(learner.logits(network, inputs), labels).mean()

        def divided(part: nn.Module, options: Options) -> nn.Module:
            if isinstance(part, SplitSupernet):
                first, second = parts_options(options, part.gene, part.second)
                below = divided(part.parts[0], first), divided(part.parts[1], second)
                return SplitSupernet(part.gene, part.second, below)
            chosen = self._widest_cut(part, options, loss, learner, rng)
            return part if chosen is None else split(part, *chosen)

        everything = tuple(tuple(range(len(gene.options))) for gene in self.space.genes)
        for _ in range(due):
            supernet = divided(supernet, everything)
        self._table = splits(supernet)
        return supernet

    def state(self) -> Mapping[str, np.ndarray]:
        """Return how the supernet is split."""
        return {} if self._table is None else {"splits": self._table}

    def restore(self, supernet: nn.Module, state: Mapping[str, np.ndarray]) -> nn.Module:
        """Return the supernet split as the state says."""
        self._table = state.get("splits")
        return supernet if self._table is None else split_as(supernet, self._table)

    def _level(self, epoch: int, epochs: int) -> int:
        """Return how often the supernet has been split in an epoch: not in the first, nor later than in the last."""
        starts = [self.warmup + (1 - self.warmup) * level / self.splits for level in range(self.splits)]
        return sum(epoch >= min(max(1, round(start * epochs)), epochs - 1) for start in starts)

    def _widest_cut(
        self,
        part: nn.Module,
        options: Options,
        loss: Callable[[nn.Module], Tensor],
        learner: Learner,
        rng: np.random.Generator,
    ) -> tuple[int, tuple[bool, ...]] | None:
        """Return the gene whose groups agree least, and which options are in the second; None if no gene has two."""
        cuts = []
        for gene, choices in enumerate(options):
            if len(choices) < 2:
                continue
            contexts = [self._context(gene, options, rng) for _ in range(self.contexts)]
            gradients = [
                gradient(part, [(*context[:gene], option, *context[gene + 1 :]) for context in contexts], loss, learner)
                for option in choices
            ]
            agreement, second = minimum_cut(agreements(gradients))
            members = {choices[place] for place in second}
            cuts.append((agreement, gene, tuple(o in members for o in range(len(self.space.genes[gene].options)))))
        return min(cuts)[1:] if cuts else None

    def _context(self, gene: int, options: Options, rng: np.random.Generator) -> Genome:
        """Return a draw of the other genes that makes all options of `gene` canonical, if one is found soon."""
        for _ in range(_DRAWS):
            drawn = tuple(int(rng.choice(choices)) for choices in options)
            genomes = [(*drawn[:gene], option, *drawn[gene + 1 :]) for option in options[gene]]
            if all(self.space.canonical(genome) == genome for genome in genomes):
                break
        return drawn


def parts_options(options: Options, gene: int, second: Sequence[bool]) -> tuple[Options, Options]:
    """Return the options of the two parts of a split."""
    groups = [tuple(o for o in options[gene] if second[o] == side) for side in (False, True)]
    return tuple((*options[:gene], group, *options[gene + 1 :]) for group in groups)  # type: ignore[return-value]


def gradient(
    supernet: nn.Module, genomes: Sequence[Genome], loss: Callable[[nn.Module], Tensor], learner: Learner
) -> list[Tensor | None]:
    """Return the summed gradients of the genomes' losses, a tensor for each weight; None for one that has none."""
    supernet.zero_grad(set_to_none=True)
    for genome in genomes:
        learner.backward(loss(subnet_of(supernet, genome)))
    found = [weight.grad for weight in supernet.parameters()]
    supernet.zero_grad(set_to_none=True)
    return found


def agreements(gradients: Sequence[Sequence[Tensor | None]]) -> np.ndarray:
    """Return the cosine between each two gradients at the weights that both have, shape (options, options).

    It is 0 where they have none in common.
    """
    cosines = np.eye(len(gradients))
    for i, j in combinations(range(len(gradients)), 2):
        shared = [
            (one.flatten(), other.flatten())
            for one, other in zip(gradients[i], gradients[j], strict=True)
            if one is not None and other is not None
        ]
        if shared:
            first, second = (torch.cat(side).double() for side in zip(*shared, strict=True))
            cosines[i, j] = cosines[j, i] = torch.cosine_similarity(first, second, dim=0).item()
    return cosines


def minimum_cut(similarity: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """Return the least mean similarity across a split into two groups, and the second group.

    The groups are of equal size, or differ by one. All splits are tried: 126 for 10 options.
    """
    places = range(len(similarity))
    half = len(similarity) // 2
    groups = [
        group for size in {half, len(similarity) - half} for group in combinations(places, size) if 0 not in group
    ]

    def across(group: tuple[int, ...]) -> float:
        return float(similarity[np.ix_([place for place in places if place not in group], group)].mean())

    return min((across(group), group) for group in groups)
