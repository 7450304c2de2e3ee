"""The mobile space: counts of Once-for-All's own code, exact costs, and which genomes are one network."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kept import kept_elements
from one_thread import one_thread  # noqa: F401
from space_contract import SpaceContract
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from evonas.errors import ConfigError
from evonas.space import Genome
from evonas.spaces.mobile import Mobile

ROOT = Path(__file__).resolve().parents[1]
OFA = Mobile(skeleton="imagenet", input_shape=(3, 224, 224), classes=1000)
SMALLEST: dict[str, Any] = {"skeleton": "tiny", "widths": (0.25, 0.5), "input_shape": (1, 8, 8)}


class TestMobile(SpaceContract):
    space = Mobile(**{**SMALLEST, "input_shape": (2, 9, 7)}, resolutions=(5, 7, 8), classes=3)
    built = 3


class TestMobileOfManyGenes(SpaceContract):
    space = Mobile(**SMALLEST, depths=(1, 3), elastic_width="stage", squeeze="block")
    built = 3


# --- against Once-for-All and MobileNetV3 -----------------------------------------------------------------------------

SAMPLED = [
    (
        (5, 5, 3, 5, 7, 5, 5, 5, 5, 5, 7, 3, 7, 3, 5, 3, 3, 7, 5, 7),
        (6, 6, 3, 4, 3, 6, 3, 6, 4, 4, 6, 3, 4, 4, 4, 6, 6, 3, 6, 4),
        (3, 4, 3, 2, 4),
        224,
    ),
    (
        (3, 3, 7, 5, 7, 7, 7, 3, 7, 5, 5, 3, 7, 5, 7, 3, 3, 7, 3, 3),
        (3, 6, 4, 3, 3, 4, 6, 4, 3, 4, 6, 4, 6, 3, 6, 4, 6, 3, 6, 6),
        (4, 3, 3, 2, 4),
        160,
    ),
    (
        (5, 5, 7, 3, 5, 3, 3, 3, 3, 7, 7, 5, 5, 3, 3, 7, 3, 3, 3, 3),
        (6, 6, 6, 4, 6, 6, 4, 6, 3, 3, 6, 6, 4, 6, 4, 4, 4, 6, 6, 6),
        (3, 2, 3, 4, 2),
        192,
    ),
]
"""Kernels and expansions of the 20 blocks, depths, resolution: what `sample_active_subnet` of Once-for-All returns."""


def named(space: Mobile, **options: object) -> Genome:
    """Return the genome that has these options; the first of all other genes."""
    return tuple(gene.options.index(options[gene.name]) if gene.name in options else 0 for gene in space.genes)


def once_for_all(setting: tuple[Any, ...], width: float) -> Genome:
    kernels, expansions, depths, resolution = setting
    blocks = list(product(range(1, 6), range(1, 5)))
    return named(
        OFA,
        width=width,
        resolution=resolution,
        **{f"depth_{stage}": depth for stage, depth in enumerate(depths, 1)},
        **{f"kernel_{stage}_{block}": k for (stage, block), k in zip(blocks, kernels, strict=True)},
        **{f"expansion_{stage}_{block}": e for (stage, block), e in zip(blocks, expansions, strict=True)},
    )


@pytest.mark.parametrize(
    ("setting", "width", "params", "macs"),
    [
        (((7,) * 20, (6,) * 20, (4,) * 5, 128), 1.0, 7_664_760, 188_248_320),
        (((7,) * 20, (6,) * 20, (4,) * 5, 224), 1.0, 7_664_760, 566_170_656),
        (((3,) * 20, (3,) * 20, (2,) * 5, 128), 1.0, 3_410_792, 41_476_224),
        (((3,) * 20, (3,) * 20, (2,) * 5, 176), 1.0, 3_410_792, 78_054_120),
        (((7,) * 20, (6,) * 20, (4,) * 5, 224), 1.2, 10_701_632, 843_101_040),
        (((3,) * 20, (3,) * 20, (2,) * 5, 224), 1.2, 4_602_456, 193_078_200),
        (SAMPLED[0], 1.0, 5_316_280, 293_339_712),
        (SAMPLED[1], 1.0, 5_630_936, 151_804_704),
        (SAMPLED[2], 1.0, 4_899_168, 236_322_688),
        (SAMPLED[0], 1.2, 7_330_976, 451_705_840),
        (SAMPLED[1], 1.2, 7_789_128, 229_757_584),
        (SAMPLED[2], 1.2, 6_767_128, 367_306_368),
    ],
)
def test_costs_are_those_of_the_code_of_once_for_all(
    setting: tuple[Any, ...], width: float, params: int, macs: int
) -> None:
    """Its networks (package `ofa` 0.1.0.post202307202001, `get_active_subnet`), counted by torch."""
    assert OFA.costs(once_for_all(setting, width)) == {"params": params, "macs": macs}


def test_mobilenet_v3_large_is_in_the_space() -> None:
    """torchvision says 5,483,032 parameters; 1,280 are biases of a layer that has none in Once-for-All."""
    space = Mobile(
        skeleton="imagenet",
        input_shape=(3, 224, 224),
        classes=1000,
        resolutions=(224,),
        widths=(1.0,),
        expansions=(2.3, 2.5, 3.0, 4.0, 6.0),
    )
    stages: list[tuple[int, tuple[float, ...]]] = [
        (3, (4.0, 3.0)),
        (5, (3.0, 3.0, 3.0)),
        (3, (6.0, 2.5, 2.3, 2.3)),
        (3, (6.0, 6.0)),
        (5, (6.0, 6.0, 6.0)),
    ]
    options: dict[str, object] = {}
    for stage, (kernel, expansions) in enumerate(stages, 1):
        options[f"depth_{stage}"] = len(expansions)
        for block, expansion in enumerate(expansions, 1):
            options |= {f"kernel_{stage}_{block}": kernel, f"expansion_{stage}_{block}": expansion}
    costs = space.costs(named(space, **options))
    assert costs["params"] == 5_483_032 - 1_280
    assert round(costs["macs"] / 1e6) == 217  # 0.217 G in torchvision's documentation, 219 M in the paper


def test_there_are_more_than_ten_to_the_nineteenth_networks() -> None:
    a_stage = sum((3 * 3) ** depth for depth in (2, 3, 4))
    assert a_stage**5 == 21_758_655_492_572_485_851 > 10**19
    assert OFA.distinct_networks == 2 * 25 * a_stage**5 == 1_087_932_774_628_624_292_550
    assert OFA.size() == 2 * 25 * 3**5 * 9**20


# --- costs ------------------------------------------------------------------------------------------------------------

SPACES = [
    OFA,
    Mobile(squeeze="stage", elastic_width="stage", widths=(0.3, 0.5), input_shape=(1, 28, 28)),
    Mobile(skeleton="tiny", squeeze="block", resolutions=(11, 13), input_shape=(2, 15, 13), classes=3),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.skeleton)
def test_costs_equal_the_counts_of_the_built_network(space: Mobile) -> None:
    """Of a few genomes; `experiments/benchmarks/mobile_networks.py` does the same with hundreds."""
    for genome in _some(space, 4):
        with torch.device("meta"):
            network, images = space.build(genome).eval(), torch.empty(1, *space.input_shape)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
        params = sum(weight.numel() for weight in network.parameters())
        assert space.costs(genome) == {"params": params, "macs": counter.get_total_flops() / 2}


def test_activations_equal_what_autograd_keeps() -> None:
    for space in (TestMobile.space, TestMobileOfManyGenes.space, SPACES[2]):
        for genome in _some(space, 6):
            assert space.activations(genome) == kept_elements(space, genome, space.input_shape), genome


def test_smallest_and_largest_are_extremes_of_macs_as_well() -> None:
    for space in SPACES:
        low, high = space.costs(space.smallest())["macs"], space.costs(space.largest())["macs"]
        assert all(low < space.costs(genome)["macs"] < high for genome in _some(space, 200)[2:])


# --- which genomes are one network ------------------------------------------------------------------------------------

FEW = Mobile(**SMALLEST, depths=(1, 2), kernels=(3, 5), expansions=(1.5, 1.6, 3.0))
FEWER_WIDTHS = Mobile(
    **{**SMALLEST, "widths": (0.25, 0.3, 0.5)},
    depths=(1, 2), kernels=(3,), expansions=(1.5, 1.6), elastic_width="stage", squeeze="block",
)  # fmt: skip


@pytest.mark.parametrize("space", [FEW, FEWER_WIDTHS], ids=["network", "stage"])
def test_canonical_joins_exactly_the_genomes_of_one_plan(space: Mobile) -> None:
    """Two genomes are one network if every number of their networks agrees."""
    rng = np.random.default_rng(0)
    few = {gene.name: int(rng.integers(len(gene.options))) for gene in space.genes[7:]}
    genomes = [(*chosen, *few.values()) for chosen in product(*(range(len(gene.options)) for gene in space.genes[:7]))]
    plans: dict[object, set[Genome]] = {}
    for genome in genomes:
        plans.setdefault(space.plan(genome), set()).add(space.canonical(genome))
    assert all(len(canonical) == 1 for canonical in plans.values())
    assert len(set.union(*plans.values())) == len(plans) < len(genomes)


def test_networks_are_counted_with_what_rounding_makes_equal() -> None:
    """Where all genomes can be listed; of the widths 0.25 and 0.3 some give the same channels to a stage."""
    for options in (
        {"widths": (0.25, 0.3, 0.5), "depths": (1, 2), "kernels": (3,), "expansions": (1.5, 1.6)},
        {"widths": (0.25, 0.3), "depths": (1,), "expansions": (1.5, 1.6, 3.0), "elastic_width": "stage"},
        {"widths": (0.25,), "depths": (1,), "kernels": (3, 5), "expansions": (3.0,), "squeeze": "block"},
        {"widths": (0.25,), "depths": (1, 2), "kernels": (5,), "expansions": (2.0,), "squeeze": "stage"},
        {"widths": (0.25,), "depths": (1, 2), "kernels": (5,), "expansions": (2.0,), "resolutions": (4, 8)},
    ):
        space = Mobile(**{**SMALLEST, **options})
        listed = space.networks(at_most=100_000)
        assert listed is not None
        assert len(listed) == space.distinct_networks, options
        assert len({space.plan(genome) for genome in listed}) == len(listed)


# --- the network ------------------------------------------------------------------------------------------------------


def test_networks_bring_images_to_their_resolution() -> None:
    torch.manual_seed(0)
    space = Mobile(skeleton="tiny", resolutions=(8, 16), widths=(0.5,), input_shape=(1, 16, 16))
    network = space.build(named(space, resolution=8)).eval()
    images = torch.randn(2, 1, 16, 16)
    resized = functional.interpolate(images, (8, 8), mode="bilinear", antialias=True)
    with torch.no_grad():
        assert torch.equal(network(images), network(resized))
        assert not torch.equal(network(images), space.build(named(space, resolution=16)).eval()(images))


def test_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    space = Mobile(**SMALLEST, classes=3)
    images, labels = torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    network = space.build(space.largest())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


# --- construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"skeleton": "huge"}, "'skeleton' must be imagenet or small or tiny, not 'huge'"),
        ({"elastic_width": "block"}, "'elastic_width' must be network or stage"),
        ({"squeeze": True}, "'squeeze' must be fixed or stage or block, not True"),
        ({"depths": (3, 2)}, r"'depths' must be a list of whole numbers, 1 or more, in ascending order, not \(3, 2\)"),
        ({"depths": (0, 1)}, "'depths'.*1 or more"),
        ({"kernels": (2, 4)}, r"'kernels' must be odd, to have a centre, not \[2, 4\]"),
        ({"expansions": (0.0, 3.0)}, "'expansions' must be a list of numbers above 0"),
        ({"widths": 1.0}, "'widths' must be a list of numbers above 0, in ascending order, not 1.0"),
        ({"resolutions": (28.5,)}, "'resolutions' must be a list of whole numbers"),
        ({"classes": 0}, "'classes' must be a whole number"),
        ({"input_shape": (64,)}, "'input_shape' must be an image"),
        ({"depths": (2,), "kernels": (3,), "expansions": (3,), "widths": (1,)}, "nothing to search"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Mobile(**options)


def test_equal_options_are_equal_spaces() -> None:
    listed = Mobile(widths=[0.5, 0.75, 1], input_shape=[3, 32, 32])  # type: ignore[arg-type]  # as YAML has it
    assert listed == Mobile() != OFA
    assert hash(listed) == hash(Mobile())


def test_costing_needs_no_torch() -> None:
    code = (
        "import sys; from evonas.spaces.mobile import Mobile; space = Mobile()\n"
        "space.costs(space.canonical(space.largest())), space.distinct_networks\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _some(space: Mobile, count: int) -> list[Genome]:
    rng = np.random.default_rng(3)
    return [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(count))]
