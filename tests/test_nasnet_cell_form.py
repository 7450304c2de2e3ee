"""Which NASNet cells are one: all cells of two blocks, run on an image with every pairing of their weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evonas.spaces.nasnet_cell_form import canonical_cell
from evonas.spaces.nasnet_cell_network import operation

NAMES = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3")
MAX, AVERAGE, SKIP, SEPARABLE = range(4)
Cell = tuple[int, ...]


def cells(blocks: int) -> Iterator[Cell]:
    sources = [range(block + 2) for block in range(blocks) for _ in range(2)]
    for operations in product(range(len(NAMES)), repeat=2 * blocks):
        for states in product(*sources):
            yield tuple(number for pair in zip(operations, states, strict=True) for number in pair)


def canonical(cell: Cell, kind: str, concatenate: str) -> Cell:
    identities = 0 if kind == "normal" else 2
    merges = concatenate == "loose_ends"
    return canonical_cell(cell, skip=SKIP, average=AVERAGE, largest=MAX, identities=identities, merges=merges)


@pytest.mark.parametrize(
    ("kind", "concatenate", "networks"),
    [
        ("normal", "loose_ends", 1998),
        ("normal", "all", 2178),
        ("reduction", "loose_ends", 2010),
        ("reduction", "all", 2178),
    ],
)
def test_cells_of_two_blocks_are_one_exactly_if_they_compute_the_same(
    kind: str, concatenate: str, networks: int
) -> None:
    seen: set[Cell] = set()
    prints: set[tuple[float, ...]] = set()
    pairs: set[tuple[Cell, tuple[float, ...]]] = set()
    compute = _Computed(kind)
    for cell in cells(2):
        form, seen_print = canonical(cell, kind, concatenate), compute(cell, concatenate)
        seen.add(form)
        prints.add(seen_print)
        pairs.add((form, seen_print))
    assert len(seen) == len(prints) == len(pairs) == networks


def test_cells_of_one_block_are_one_if_the_same_two_operations_are_added() -> None:
    for kind, concatenate in product(("normal", "reduction"), ("loose_ends", "all")):
        assert len({canonical(cell, kind, concatenate) for cell in cells(1)}) == 8 * 9 // 2


@pytest.mark.parametrize("kind", ["normal", "reduction"])
def test_canonical_cells_are_canonical_however_long_their_sums(kind: str) -> None:
    """Cells of five blocks without weights, most of which read the block before them: all that is ever rewritten."""
    rng = np.random.default_rng(0)
    rewritten = 0
    for _ in range(3000):
        sources = [max(0, block + 1 - int(rng.choice(3, p=(0.8, 0.1, 0.1)))) for block in range(5) for _ in range(2)]
        operations = rng.integers(3, size=10).tolist()
        cell = tuple(number for pair in zip(operations, sources, strict=True) for number in pair)
        once = canonical(cell, kind, "loose_ends")
        assert canonical(once, kind, "loose_ends") == once
        assert len(_loose(once)) == len(_loose(cell))
        rewritten += sorted(once[::2]) != sorted(cell[::2]) or sorted(once[1::2]) != sorted(cell[1::2])
    assert rewritten > 150


def _loose(cell: Cell) -> set[int]:
    return {2, 3, 4, 5, 6} - set(cell[1::2])


class _Computed:
    """What cells of two blocks return for one image: projections of the concatenated blocks, sorted.

    Every operation but the identity has four sets of weights; those of a pool are what drop-path scales it by. The
    operations of a cell take the first sets in every order, and the smallest result is kept: so cells agree exactly if
    their weights can be paired so that the outputs do.
    """

    def __init__(self, kind: str) -> None:
        torch.manual_seed(3)
        self.identities = 0 if kind == "normal" else 2
        stride, channels, sets = (1 if kind == "normal" else 2), 3, 4
        images = torch.randn(2, 1, channels, 6, 6, dtype=torch.float64)
        on_input = [[_weighted(operation(name, channels, stride), s) for s in range(sets)] for name in NAMES]
        on_block = [[_weighted(operation(name, channels, 1), s) for s in range(sets)] for name in NAMES]
        with torch.no_grad():
            first = torch.stack([torch.cat([torch.stack([m(i) for m in ms]) for ms in on_input]) for i in images])
            first = first.reshape(2 * len(NAMES) * sets, *first.shape[2:])  # [input, operation, set] as one index
            sums = first[:, None] + first[None, :]
            flat = sums.flatten(0, 2)
            second = torch.stack([m(flat) for ms in on_block for m in ms], dim=1)
        projection = torch.randn(int(np.prod(first.shape[1:])), dtype=torch.float64)
        self.first = (first.flatten(1) @ projection).numpy()
        self.second = (second.flatten(2) @ projection).reshape(len(first), len(first), -1).numpy()

    def __call__(self, cell: Cell, concatenate: str) -> tuple[float, ...]:
        pairs = list(zip(cell[::2], cell[1::2], strict=True))
        weighted = [
            slot for slot, (operation, source) in enumerate(pairs) if operation != SKIP or source < self.identities
        ]
        results = []
        for order in permutations(range(len(weighted))):
            chosen = [0] * 4
            for slot, weights in zip(weighted, order, strict=True):
                chosen[slot] = weights
            index = [
                (source * 4 if source < 2 else 0) * 4 + operation * 4 + weights
                for (operation, source), weights in zip(pairs, chosen, strict=True)
            ]
            block = self.second[index[0], index[1]]
            states = [float(self.first[index[0]] + self.first[index[1]])]
            states.append(
                sum(
                    float(block[i] if source == 2 else self.first[i])
                    for i, (_, source) in zip(index[2:], pairs[2:], strict=True)
                )
            )
            if concatenate == "loose_ends" and 2 in (cell[5], cell[7]):
                del states[0]
            results.append(tuple(sorted(round(state, 8) for state in states)))
        return min(results)


class _Scaled(nn.Module):
    def __init__(self, module: nn.Module, scale: float) -> None:
        super().__init__()
        self.module, self.scale = module, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.module(images)


def _weighted(module: nn.Module, number: int) -> nn.Module:
    """Give batch norms statistics of their own, with which they return more above zero than below; scale pools."""
    for name, values in module.state_dict().items():
        if values.is_floating_point() and values.ndim == 1:
            values.copy_(torch.rand(values.shape) * (0.1 if name.endswith("mean") else 1.0) + 0.1)
    pool = isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
    return (_Scaled(module, 1.0 + 0.37 * number) if pool else module).double().eval()
