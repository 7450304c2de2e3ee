"""The networks of NASNet cells: shapes, paths that drop, the head that only training sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor
from torch.nn import functional

from evonas.spaces.nasnet_cell import OPERATIONS, NASNetCell
from evonas.spaces.nasnet_cell_network import FactorizedReduction, Residual, operation

SPACE = NASNetCell(blocks=2, channels=4, layers=5, input_shape=(1, 9, 7), classes=3, auxiliary=True)
IMAGES = torch.randn(6, 1, 9, 7, generator=torch.Generator().manual_seed(0))


def network(genome: tuple[int, ...] | None = None) -> torch.nn.Module:
    torch.manual_seed(1)
    return SPACE.build((7, 0, 3, 1, 7, 0, 3, 1) * 2 if genome is None else genome)


@pytest.mark.parametrize("name", sorted({name for names in OPERATIONS.values() for name in names}))
@pytest.mark.parametrize("stride", [1, 2])
def test_operations_keep_channels_and_divide_sides_rounding_up(name: str, stride: int) -> None:
    returned = operation(name, 6, stride)(torch.randn(2, 6, 7, 4))
    assert returned.shape == (2, 6, -(-7 // stride), -(-4 // stride))


def test_inverted_residuals_add_their_input_at_stride_one_only() -> None:
    images = torch.randn(2, 4, 6, 6)
    residual = operation("inv_res_5x5", 4, 1).eval()
    assert isinstance(residual, Residual)
    torch.testing.assert_close(residual(images) - images, residual.branch(images))
    assert not isinstance(operation("inv_res_5x5", 4, 2), Residual)


def test_pools_do_not_count_the_padding() -> None:
    ones = torch.ones(1, 2, 5, 5)
    for stride, side in ((1, 5), (2, 3)):
        torch.testing.assert_close(operation("avg_pool_3x3", 2, stride)(ones), torch.ones(1, 2, side, side))
        torch.testing.assert_close(operation("max_pool_3x3", 2, stride)(-ones), -torch.ones(1, 2, side, side))


@pytest.mark.parametrize("side", [6, 7])
def test_factorized_reduction_reads_pixels_of_both_parities(side: int) -> None:
    reduction = FactorizedReduction(1, 2)
    for weight in reduction.parameters():
        torch.nn.init.ones_(weight)
    images = torch.arange(float(side * side)).reshape(1, 1, side, side)
    straight, aside = reduction(images)[0]
    assert torch.equal(straight, images[0, 0, ::2, ::2])
    assert torch.equal(aside[: side // 2, : side // 2], images[0, 0, 1::2, 1::2])
    assert straight.shape == aside.shape


def test_the_auxiliary_head_is_for_training_and_reads_the_second_reduction() -> None:
    built = network()
    logits, auxiliary_logits = built.train()(IMAGES)
    assert logits.shape == auxiliary_logits.shape == (6, 3)
    assert isinstance(built.eval()(IMAGES), Tensor)
    auxiliary_logits.sum().backward()
    touched = [
        any(weight.grad is not None and bool(weight.grad.any()) for weight in cell.parameters())
        for cell in built.get_submodule("cells").children()
    ]
    assert touched == [True, True, True, True, False], "reductions are cells 1 and 3 of 5"
    assert not any("auxiliary" in name for name in SPACE.build_final(SPACE.largest()).state_dict())


def test_paths_drop_in_training_only_and_more_of_them_towards_the_end() -> None:
    cells = _Noted(network())
    assert cells.outputs_differ() == [False] * 5
    cells.network.drop_path = 0.6  # type: ignore[assignment]
    assert cells.probabilities == [0.0] * 5
    assert any(cells.outputs_differ())
    assert cells.probabilities == pytest.approx([0.12, 0.24, 0.36, 0.48, 0.6])
    cells.network.eval()
    assert cells.outputs_differ() == [False] * 5


def test_a_dropped_path_is_dropped_for_whole_images_and_identities_never() -> None:
    names = OPERATIONS["eeea"]
    pool, skip = names.index("avg_pool_3x3"), names.index("skip_connect")
    space = NASNetCell(blocks=1, channels=2, layers=3, input_shape=(1, 6, 6))
    torch.manual_seed(0)
    cell = space.build((pool, 1, skip, 0) * 2).train().get_submodule("cells.0")
    images = torch.randn(400, 6, 6, 6)
    whole, dropped = cell(images, images, 0.0), cell(images, images, 0.25)
    with torch.no_grad():
        skipped = cell.get_submodule("preprocess.0")(images)
    pooled = whole - skipped
    ratios = ((dropped - skipped) / pooled).flatten(1)
    gone = (ratios.abs() < 1e-3).all(dim=1)
    scaled = ((ratios - 1 / 0.75).abs() < 1e-2 * (1 + 1 / pooled.flatten(1).abs())).all(dim=1)
    assert bool((gone ^ scaled).all())
    assert 0.17 < gone.float().mean() < 0.33


def test_network_learns_a_batch() -> None:
    built, labels = network(SPACE.sample(np.random.default_rng(0))).train(), torch.arange(6) % 3
    optimiser = torch.optim.SGD(built.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(20):
        logits, auxiliary_logits = built(IMAGES)
        loss = functional.cross_entropy(logits, labels) + functional.cross_entropy(auxiliary_logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


class _Noted:
    """Notes what the cells of a network are given and return."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self.probabilities: list[float] = []
        self.outputs: list[Tensor] = []
        for cell in network.get_submodule("cells").children():
            cell.register_forward_hook(self._note)

    def outputs_differ(self) -> list[bool]:
        """Say for each cell whether two passes differ."""
        runs = []
        for _ in range(2):
            self.probabilities, self.outputs = [], []
            self.network(IMAGES)
            runs.append(self.outputs)
        return [not torch.equal(a, b) for a, b in zip(*runs, strict=True)]

    def _note(self, _cell: torch.nn.Module, given: tuple[Tensor, Tensor, float], returned: Tensor) -> None:
        self.probabilities.append(given[2])
        self.outputs.append(returned)
