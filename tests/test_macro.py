"""The macro space of NAS-Bench-Macro: the published table, exact costs, and which genomes are one network."""

from __future__ import annotations

import zlib
from collections import defaultdict
from itertools import product
from pathlib import Path

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
from evonas.spaces.macro import OPERATIONS, Macro

TABLE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "nasbench_macro.parquet"
TINY = Macro(stem_channels=2, layers_per_stage=(1, 3), head_channels=6, input_shape=(1, 7, 5), classes=3)
IDENTITY, MB3, MB6 = range(3)


class TestMacro(SpaceContract):
    space = Macro(stem_channels=4, layers_per_stage=(2, 1, 3), head_channels=16, input_shape=(3, 9, 12), classes=5)


# --- costs ------------------------------------------------------------------------------------------------------------


def test_params_and_macs_equal_the_published_table() -> None:
    space, table = Macro(), _table()
    genomes = [tuple(map(int, text)) for text in table["arch"]]
    assert sorted(genomes) == list(product(range(3), repeat=8))
    for genome, params, macs in zip(genomes, table["params"], table["macs"], strict=True):
        assert space.costs(genome) == {"params": params, "macs": macs}


SKELETONS = [
    Macro(),
    Macro(stem_channels=3, layers_per_stage=(1, 4), head_channels=7, input_shape=(1, 28, 28), classes=7),
    Macro(stem_channels=5, layers_per_stage=(3,), head_channels=1, input_shape=(2, 1, 1), classes=1),
    Macro(stem_channels=1, layers_per_stage=(1, 1, 2), head_channels=9, input_shape=(4, 5, 13), classes=2),
]


@pytest.mark.parametrize("space", SKELETONS, ids=lambda space: "x".join(map(str, space.input_shape)))
def test_costs_equal_the_counts_of_the_built_network(space: Macro) -> None:
    for genome in _some(space, 9):
        with torch.device("meta"):
            network, images = space.build(genome).eval(), torch.randn(1, *space.input_shape)
        with FlopCounterMode(display=False) as counter:
            network(images)
        params = sum(weight.numel() for weight in network.parameters())
        assert space.costs(genome) == {"params": params, "macs": counter.get_total_flops() / 2}


@pytest.mark.parametrize("space", SKELETONS, ids=lambda space: "x".join(map(str, space.input_shape)))
def test_activations_equal_what_autograd_keeps(space: Macro) -> None:
    for genome in _some(space, 7):
        assert space.activations(genome) == kept_elements(space, genome, space.input_shape), genome


def test_smallest_and_largest_are_exact() -> None:
    for name in ("params", "macs"):
        costs = [TINY.costs(genome)[name] for genome in product(range(3), repeat=4)]
        assert TINY.costs(TINY.smallest())[name] == min(costs)
        assert TINY.costs(TINY.largest())[name] == max(costs)
    assert Macro().costs(Macro().smallest())["params"] == 387_882


# --- the network ------------------------------------------------------------------------------------------------------


def test_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(24, 1, 7, 5), torch.arange(24) % 3
    network = TINY.build((MB3, MB6, IDENTITY, MB3))
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
        ({"stem_channels": 0}, "'stem_channels' must be a whole number, 1 or more, not 0"),
        ({"head_channels": 1.0}, "'head_channels'.*not 1.0"),
        ({"classes": True}, "'classes'.*not True"),
        ({"layers_per_stage": ()}, r"'layers_per_stage' must be a list of numbers of layers.*not \(\)"),
        ({"layers_per_stage": (2, 0)}, r"'layers_per_stage'.*not \(2, 0\)"),
        ({"layers_per_stage": 3}, "'layers_per_stage'.*not 3"),
        ({"input_shape": (64,)}, r"'input_shape' must be an image.*not \(64,\): reshape"),
        ({"input_shape": 32}, "'input_shape'.*not 32"),
    ],
)
def test_impossible_skeletons_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Macro(**options)  # type: ignore[arg-type]


def test_equal_options_are_equal_spaces() -> None:
    listed = Macro(layers_per_stage=[2, 3, 3], input_shape=[3, 32, 32])  # type: ignore[arg-type]  # as YAML has it
    assert listed == Macro() != TINY
    assert hash(listed) == hash(Macro())


# --- which genomes are one network ------------------------------------------------------------------------------------


def test_there_are_3969_networks() -> None:
    assert len({Macro().canonical(genome) for genome in product(range(3), repeat=8)}) == 3969


def test_canonical_joins_exactly_the_genomes_that_compute_the_same() -> None:
    """All 81 genomes of a small skeleton run on an image; the n-th block of a kind in a stage has the same weights."""
    images = torch.randn(2, 1, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outputs: dict[tuple[float, ...], set[Genome]] = defaultdict(set)
    for genome in product(range(3), repeat=4):
        with torch.no_grad():
            logits = _with_shared_weights(genome)(images)
        outputs[tuple(np.round(logits.flatten().numpy(), 7))].add(TINY.canonical(genome))
    assert len(outputs) == 3 * 21
    assert all(len(canonical) == 1 for canonical in outputs.values())
    assert len(set.union(*outputs.values())) == 3 * 21


def test_published_table_has_one_accuracy_for_each_network() -> None:
    table = _table()
    measured: dict[Genome, set[object]] = defaultdict(set)
    for row in zip(table["arch"], table["test_accuracy"], table["test_accuracy_std"], strict=True):
        measured[Macro().canonical(tuple(map(int, str(row[0]))))].add(row[1:])
    assert all(len(accuracies) == 1 for accuracies in measured.values())
    assert len(set.union(*measured.values())) > 0.99 * len(measured)


def _table() -> dict[str, list[object]]:
    if not TABLE.exists():
        pytest.skip(f"the reference table is not at {TABLE}")
    columns: dict[str, list[object]] = pytest.importorskip("pyarrow.parquet").read_table(TABLE).to_pydict()
    return columns


def _some(space: Macro, count: int) -> list[Genome]:
    rng = np.random.default_rng(3)
    return [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(count))]


def _with_shared_weights(genome: Genome) -> torch.nn.Module:
    """Build a network whose weights depend on the stage, the operation, how many of it came before, and the name."""
    network = TINY.build(genome).double().eval()
    names, before = {}, defaultdict[object, int](int)
    for layer, (stage, operation) in enumerate(zip((0, 1, 1, 1), genome, strict=True)):
        kind = (stage, layer in (0, 1), OPERATIONS[operation])
        names[f"body.{layer}."] = f"{kind} {before[kind]}"
        before[kind] += 1
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            prefix = ".".join(name.split(".")[:2]) + "."
            key = name.replace(prefix, names.get(prefix, prefix))
            generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
            values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(values.square() + 0.5 if name.endswith("running_var") else values)
    return network
