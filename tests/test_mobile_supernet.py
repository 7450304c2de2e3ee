"""The supernet of the mobile space: first channels, first blocks, centres of kernels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from supernet_contract import SupernetContract, loss
from torch import Tensor, nn

from evonas.space import Genome
from evonas.spaces.entangled_supernet import EntangledSupernet
from evonas.spaces.mobile import Mobile
from evonas.spaces.mobile_supernet import MobileSupernet

OPTIONS: dict[str, Any] = {"skeleton": "tiny", "widths": (0.25, 0.5), "input_shape": (1, 8, 8), "classes": 5}
SPACE = Mobile(**OPTIONS, depths=(1, 2), kernels=(3, 5, 7), expansions=(2, 3))


def block(inputs: int, hidden: int, outputs: int, kernel: int, squeezed: int = 0) -> int:
    return (
        (inputs + 2) * hidden + (kernel**2 + 2) * hidden + (hidden + 2) * outputs
        + (2 * hidden * squeezed + hidden + squeezed if squeezed else 0)
    )  # fmt: skip


WEIGHTS = (
    (9 + 2) * 4  # stem: 4 channels at width 0.5
    + (9 + 2) * 4 + (4 + 2) * 4  # first block
    + block(4, 12, 8, 7) + block(8, 24, 8, 7)  # half of 12 channels: 6, to a multiple of 4: 8
    + block(8, 24, 12, 7, 8) + block(12, 36, 12, 7, 12)  # SE: 24 / 4 = 6, to 8; 36 / 4 = 9, to 12, for 8 < 8.1
    + block(12, 36, 20, 7, 12) + block(20, 60, 20, 7, 16)
    + (20 + 2) * 60 + 60 * 80 + 80 * 5 + 5  # head
)  # fmt: skip


class TestMobileSupernetOfCentres(SupernetContract):
    space = SPACE
    weights = WEIGHTS
    sampled = 4

    def supernet(self) -> nn.Module:
        return MobileSupernet(SPACE, kernel_transformation=False)


class TestMobileSupernet(SupernetContract):
    space = SPACE
    weights = WEIGHTS + 6 * (25 * 25 + 9 * 9)
    sampled = 4

    def supernet(self) -> nn.Module:
        return MobileSupernet(SPACE)

    def test_gradients_reach_exactly_the_weights_that_were_used(self, shared: nn.Module) -> None:
        """Autograd of the stand-alone network, carried on by hand through the matrices of the kernels."""
        assert isinstance(shared, MobileSupernet)
        for genome in self.genomes():
            shared.zero_grad()
            subnet = self.subnet(shared, genome).train()
            alone = subnet.standalone(SPACE.build(genome)).train()
            for network in (subnet, alone):
                loss(network(self.inputs())).backward()
            used = dict(alone.named_parameters())
            for key, weight in shared.weights.items():
                got = torch.zeros_like(weight) if weight.grad is None else weight.grad
                torch.testing.assert_close(got, _expected(shared, key.replace("/", "."), used), rtol=1e-4, atol=1e-5)
            steps = {
                f"{stage}/{number}/to_{size}"
                for stage, blocks in enumerate(SPACE.plan(genome).stages)
                for number, layer in enumerate(blocks)
                for size in (3, 5)
                if size >= layer.kernel
            }
            assert {key for key, matrix in shared.transformations.items() if matrix.grad is not None} == steps


def _expected(shared: MobileSupernet, path: str, used: dict[str, nn.Parameter]) -> Tensor:
    """Return the gradient of a shared weight: that of the part that a network used, and zeros."""
    weight = shared.weight(path)
    expected = torch.zeros_like(weight)
    if path not in used:
        return expected
    gradient = used[path].grad
    assert gradient is not None
    if "depthwise.0.weight" in path and path.startswith("stages"):
        _, stage, number, *_ = path.split(".")
        for size in range(gradient.shape[-1], 7, 2):
            difference = shared.transformations[f"{stage}/{number}/to_{size}"]
            through = gradient.flatten(1) @ (torch.eye(size**2) + difference)
            gradient = nn.functional.pad(through.view(-1, 1, size, size), (1, 1, 1, 1))
        expected[: len(gradient)] = gradient
    else:
        expected[tuple(slice(length) for length in gradient.shape)] = gradient
    return expected.detach()


def test_at_the_start_small_kernels_are_the_centres_of_large_ones() -> None:
    transformed, centres = _pair()
    images = torch.randn(3, 1, 8, 8)
    for kernel in range(3):
        genome = _with_kernels(kernel)
        assert torch.equal(transformed.subnet(genome)(images), centres.subnet(genome)(images))


def test_a_matrix_changes_all_kernels_that_are_made_with_it_and_no_others() -> None:
    supernet, _ = _pair()
    images = torch.randn(3, 1, 8, 8)
    before = [supernet.subnet(_with_kernels(kernel))(images) for kernel in range(3)]
    with torch.no_grad():
        supernet.transformations["1/0/to_5"].add_(0.1)
    after = [supernet.subnet(_with_kernels(kernel))(images) for kernel in range(3)]
    assert [torch.equal(*outputs) for outputs in zip(before, after, strict=True)] == [False, False, True]


def test_a_narrow_network_has_the_first_channels() -> None:
    supernet = MobileSupernet(SPACE)
    narrow, wide = (supernet.subnet(genome).standalone(SPACE.build(genome)) for genome in (SPACE.smallest(), _WIDE))
    for path, weight in narrow.named_parameters():
        shared = dict(wide.named_parameters())[path]
        assert torch.equal(weight, shared[tuple(slice(length) for length in weight.shape)]), path
    assert sum(weight.numel() for weight in narrow.parameters()) == SPACE.costs(SPACE.smallest())["params"]


def test_the_largest_network_is_all_there_is() -> None:
    supernet = EntangledSupernet(SPACE)
    largest = supernet.subnet(SPACE.largest()).standalone(SPACE.build(SPACE.largest()))
    assert sum(w.numel() for w in largest.parameters()) == sum(w.numel() for w in supernet.parameters())


def test_a_space_of_one_kernel_has_no_matrices() -> None:
    assert not MobileSupernet(Mobile(**OPTIONS, kernels=(3,))).transformations


def _pair() -> tuple[MobileSupernet, MobileSupernet]:
    supernets = []
    for kernel_transformation in (True, False):
        torch.manual_seed(0)
        supernets.append(MobileSupernet(SPACE, kernel_transformation=kernel_transformation))
    return supernets[0], supernets[1]


def _with_kernels(option: int) -> Genome:
    largest = zip(SPACE.genes, SPACE.largest(), strict=True)
    return tuple(option if gene.name.startswith("kernel") else index for gene, index in largest)


_WIDE = tuple(1 if gene.name == "width" else 0 for gene in SPACE.genes)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
