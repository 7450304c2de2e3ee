"""The cell space of NAS-Bench-201: the published table, exact costs, and which cells are one network."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from kept import kept_elements
from one_thread import one_thread  # noqa: F401
from space_contract import SpaceContract
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from evonas.errors import ConfigError, GenomeError
from evonas.space import Genome
from evonas.spaces.cell201 import EDGES, OPERATIONS, Cell201

TABLE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "nasbench201_12epochs.parquet"
GENOMES = list(product(range(5), repeat=6))
NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)
TINY = Cell201(stem_channels=4, cells_per_stage=2, stages=2, input_shape=(1, 9, 7), classes=3)


class TestCell201(SpaceContract):
    space = Cell201(stem_channels=4, cells_per_stage=2, input_shape=(3, 9, 7), classes=5)


# --- costs ------------------------------------------------------------------------------------------------------------


def test_params_equal_the_published_table() -> None:
    if not TABLE.exists():
        pytest.skip(f"the reference table is not at {TABLE}")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = parquet.read_table(TABLE, columns=["arch_str", "params", *(f"e{edge}" for edge in range(6))]).to_pydict()
    genomes: list[Genome] = list(zip(*(columns[f"e{edge}"] for edge in range(6)), strict=True))
    space = Cell201()
    assert sorted(genomes) == GENOMES
    assert [space.costs(genome)["params"] for genome in genomes] == columns["params"]
    assert [_published_name(genome) for genome in genomes] == columns["arch_str"]


SKELETONS = [
    Cell201(),
    Cell201(stem_channels=5, cells_per_stage=2, stages=4, input_shape=(1, 28, 28), classes=7),
    Cell201(stem_channels=8, cells_per_stage=1, stages=3, input_shape=(1, 8, 8)),
    Cell201(stem_channels=3, cells_per_stage=3, stages=1, input_shape=(2, 1, 1), classes=1),
    Cell201(stem_channels=1, cells_per_stage=1, stages=3, input_shape=(4, 5, 13), classes=2),
]


@pytest.mark.parametrize("space", SKELETONS, ids=lambda space: "x".join(map(str, space.input_shape)))
def test_costs_equal_the_counts_of_the_built_network(space: Cell201) -> None:
    for genome in GENOMES[:: len(GENOMES) // 11]:
        with torch.device("meta"):
            network, images = space.build(genome).eval(), torch.randn(1, *space.input_shape)
        with FlopCounterMode(display=False) as counter:
            network(images)
        params = sum(weight.numel() for weight in network.parameters())
        assert space.costs(genome) == {"params": params, "macs": counter.get_total_flops() / 2}


ODD_CELLS: list[Genome] = [
    (NONE, NONE, NONE, SKIP, NONE, NONE),  # the cell is its input
    (NONE,) * 6,  # nothing at all, and every cell the last that matters
    (NONE, NONE, CONV_3X3, NONE, NONE, SKIP),  # a convolution of nothing: the input is ignored
    (NONE, NONE, POOL, SKIP, POOL, POOL),  # pools of nothing
    (CONV_3X3, CONV_1X1, CONV_3X3, SKIP, NONE, NONE),  # convolutions that lead nowhere
    (SKIP, SKIP, POOL, POOL, POOL, POOL),  # pools of three nodes, two of which are one tensor
    (POOL, POOL, POOL, POOL, POOL, POOL),
    (CONV_3X3, CONV_3X3, CONV_3X3, CONV_3X3, CONV_3X3, CONV_3X3),
]


@pytest.mark.parametrize("space", SKELETONS, ids=lambda space: "x".join(map(str, space.input_shape)))
def test_activations_equal_what_autograd_keeps(space: Cell201) -> None:
    for genome in [*ODD_CELLS, *GENOMES[7 :: len(GENOMES) // 12]]:
        assert space.activations(genome) == kept_elements(space, genome, space.input_shape), genome


def _open_edges(genome: Genome) -> list[tuple[int, int, str]]:
    """Return the edges from which node 3 can be reached, and which can be reached from node 0."""
    edges = [(*edge, OPERATIONS[index]) for edge, index in zip(EDGES, genome, strict=True) if index]
    seen, seeing = {0}, {3}
    for source, target, _ in edges:  # sources come before their targets
        seen |= {target} if source in seen else set()
    for source, target, _ in sorted(edges, reverse=True):
        seeing |= {source} if target in seeing else set()
    return [edge for edge in edges if edge[0] in seen and edge[1] in seeing]


def test_features_of_all_genomes_are_those_of_their_graphs() -> None:
    for genome in product(range(5), repeat=6):
        features, edges = Cell201().features(genome), _open_edges(genome)
        kinds = Counter(operation for _, _, operation in edges)
        assert [features[f"open_{name}"] for name in OPERATIONS[1:]] == [kinds[name] for name in OPERATIONS[1:]]
        lengths: dict[int, list[int]] = {0: [0], 1: [], 2: [], 3: []}  # convolutions of every path to a node
        for source, target, operation in edges:
            lengths[target] += [length + operation.startswith("conv") for length in lengths[source]]
        expected = [len(lengths[3]), max(lengths[3], default=-1), min(lengths[3], default=-1)]
        assert [features[name] for name in ("open_paths", "deepest_path", "shallowest_path")] == expected


def test_features_of_a_cell_worked_out_by_hand() -> None:
    # conv_3x3 from 0 to 1, pool from 1 to 3, skip from 0 to 3; conv_1x1 from 1 to 2 ends there
    assert Cell201().features((3, 0, 2, 1, 4, 0)) == {
        "open_skip_connect": 1, "open_conv_1x1": 0, "open_conv_3x3": 1, "open_avg_pool_3x3": 1,
        "open_paths": 2, "deepest_path": 1, "shallowest_path": 0,
    }  # fmt: skip


def test_smallest_and_largest_are_exact_and_see_the_input() -> None:
    for space in (Cell201(), TINY):
        costs = [space.costs(genome) for genome in GENOMES]
        for name in ("params", "macs"):
            assert space.costs(space.smallest())[name] == min(cost[name] for cost in costs)
            assert space.costs(space.largest())[name] == max(cost[name] for cost in costs)
        assert space.canonical(space.smallest()) == space.smallest()
        assert space.canonical(space.smallest()) != space.canonical((NONE,) * 6)


# --- the network ------------------------------------------------------------------------------------------------------


def test_published_stages_have_the_published_shapes() -> None:
    shapes: list[torch.Size] = []
    with torch.device("meta"):
        network, images = Cell201().build(Cell201().largest()), torch.randn(2, 3, 32, 32)
    for block in network.get_submodule("body").children():
        block.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape[1:]))
    network(images)
    assert shapes == [(16, 32, 32)] * 5 + [(32, 16, 16)] * 6 + [(64, 8, 8)] * 6


def test_pooling_does_not_count_the_padding() -> None:
    network = TINY.build((NONE, NONE, NONE, POOL, NONE, NONE))
    ones = torch.ones(1, 4, 5, 5)
    torch.testing.assert_close(network.get_submodule("body.0")(ones), ones)


def test_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(24, 1, 9, 7), torch.arange(24) % 3
    network = TINY.build((CONV_3X3, SKIP, CONV_1X1, POOL, NONE, CONV_3X3))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(25):
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
        ({"cells_per_stage": -1}, "'cells_per_stage'.*not -1"),
        ({"stages": 2.0}, "'stages'.*not 2.0"),
        ({"classes": True}, "'classes'.*not True"),
        ({"input_shape": (64,)}, r"'input_shape' must be an image.*not \(64,\): reshape"),
        ({"input_shape": (3, 0, 32)}, "'input_shape'.*each 1 or more"),
        ({"input_shape": (3, 32, 32.0)}, "'input_shape'.*32.0"),
        ({"input_shape": 32}, "'input_shape'.*not 32"),
        ({"input_shape": (3, 32, 3)}, "halves the image 2 times, but its shorter side has 3 pixels: use at most 2"),
        ({"stages": 10**9}, "use at most 6 stages"),
    ],
)
def test_impossible_skeletons_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Cell201(**options)  # type: ignore[arg-type]


def test_equal_options_are_equal_spaces() -> None:
    listed = Cell201(input_shape=[1, 8, 8])  # type: ignore[arg-type]  # as YAML has it
    assert listed == Cell201(input_shape=(1, 8, 8)) != Cell201()
    assert hash(listed) == hash(pickle.loads(pickle.dumps(listed)))


def test_broken_genomes_are_refused_everywhere() -> None:
    for use in (TINY.build, TINY.canonical):
        with pytest.raises(GenomeError, match="edge_2_3"):
            use((0, 0, 0, 0, 0, 5))


def test_importing_and_costing_need_no_torch() -> None:
    code = (
        "import sys; from evonas.spaces.cell201 import Cell201; space = Cell201()\n"
        "space.costs(space.canonical(space.largest())); space.activations(space.largest())\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])


# --- which cells are one network --------------------------------------------------------------------------------------


def test_there_are_5234_networks() -> None:
    assert len({TINY.canonical(genome) for genome in GENOMES}) == 5234


@pytest.mark.parametrize("space", SKELETONS, ids=lambda space: "x".join(map(str, space.input_shape)))
def test_canonical_is_the_cheapest_of_its_class_in_any_skeleton(space: Cell201) -> None:
    members: dict[Genome, list[Genome]] = defaultdict(list)
    for genome in GENOMES:
        members[space.canonical(genome)].append(genome)
    for canonical, genomes in members.items():
        priced = [(space.costs(genome)["params"], space.costs(genome)["macs"], genome) for genome in genomes]
        assert min(priced)[2] == canonical


def test_published_strings_count_6466_cells() -> None:
    """The rule of the paper's code, applied to our edges and operations, gives the paper's number."""
    assert len({_published_string(genome) for genome in GENOMES}) == 6466


def test_two_convolutions_are_not_one_convolution_twice() -> None:
    twice_one = (CONV_1X1, NONE, SKIP, NONE, SKIP, SKIP)
    two = (SKIP, NONE, NONE, CONV_1X1, CONV_1X1, NONE)
    assert TINY.canonical(twice_one) != TINY.canonical(two)
    assert TINY.costs(TINY.canonical(twice_one))["params"] < TINY.costs(TINY.canonical(two))["params"]


def test_canonical_separates_exactly_the_cells_that_compute_different_things() -> None:
    """All 15,625 cells run on an image; equal outputs, up to the choice of weights, must mean an equal canonical."""
    prints = _output_prints()
    classes = [_clusters(column) for column in prints.T]
    observed = list(zip(*classes, strict=True))
    canonical = [TINY.canonical(genome) for genome in GENOMES]
    pairs = Counter(zip(observed, canonical, strict=True))
    assert len(set(observed)) == len(pairs) == len(set(canonical))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_networks_of_a_genome_and_its_canonical_agree(training: bool) -> None:
    rng = np.random.default_rng(5)
    images = torch.randn(3, 1, 9, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    compared = 0
    while compared < 25:
        genome = TINY.sample(rng)
        canonical = TINY.canonical(genome)
        if genome != canonical:
            compared += 1
            outputs = [_with_shared_weights(TINY, one).train(training)(images) for one in (genome, canonical)]
            torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)


def _output_prints() -> np.ndarray:
    """Return, for each of GENOMES, two projections of the cell's output, each minimal over the choices of weights.

    There are seven sets of weights. A set has a kernel for either convolution but one batch norm (in evaluation mode),
    because a convolution of zero is nothing but its batch norm. Every convolution of a cell gets a set of its own;
    those that turn out to matter take the first sets in every order, and the smallest output is kept.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sets, channels, side = 7, 3, 6
    kernels = {1: random(sets, channels, channels, 1, 1), 3: random(sets, channels, channels, 3, 3)}
    statistics = [random(sets, channels) for _ in range(4)]  # mean, log variance, gamma, beta

    def convolved(images: Tensor, kernel: int, chosen: int) -> Tensor:
        weights = kernels[kernel][chosen]
        mean, log_variance, gamma, beta = (values[chosen] for values in statistics)
        convolution = functional.conv2d(functional.relu(images), weights, padding=kernel // 2)
        return functional.batch_norm(convolution, mean, log_variance.exp(), gamma, beta)

    def every_operation(images: Tensor) -> Tensor:
        """(n, c, h, w) to (n, 3 + 2 * sets, c, h, w): none, skip, pool, then both convolutions with every set."""
        pooled = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        convolutions = [convolved(images, kernel, chosen) for kernel in (1, 3) for chosen in range(sets)]
        return torch.stack([torch.zeros_like(images), images, pooled, *convolutions], dim=1)

    projection = random(channels * side * side, 2)
    first = every_operation(random(1, channels, side, side))[0]  # [e0]: node 1, or a term of nodes 2 and 3
    second = every_operation(first)  # [e0, e2]: node 1 through an operation
    node_2 = first[None, :, None] + second[:, None]  # [e0, e1, e2]
    third = every_operation(node_2.flatten(0, 2)).flatten(2) @ projection
    from_0 = (first.flatten(1) @ projection).numpy()  # [e3]
    from_1 = (second.flatten(2) @ projection).numpy()  # [e0, e4]
    from_2 = third.reshape(*node_2.shape[:3], *third.shape[1:]).numpy()  # [e0, e1, e2, e5]

    def outputs(choices: np.ndarray) -> np.ndarray:
        """(n, 6 edges) choices of an operation and its weights to (n, 2) projected outputs."""
        e0, e1, e2, e3, e4, e5 = choices.T
        projected: np.ndarray = from_0[e3] + from_1[e0, e4] + from_2[e0, e1, e2, e5]
        return projected

    start = {NONE: 0, SKIP: 1, POOL: 2, CONV_1X1: 3, CONV_3X3: 3 + sets}
    prints = np.empty((len(GENOMES), 2))
    for row, genome in enumerate(GENOMES):
        edges = [edge for edge, operation in enumerate(genome) if operation in (CONV_1X1, CONV_3X3)]
        choices = np.array([[start[operation] for operation in genome]] * (1 + len(edges)))
        choices[:, edges] += np.arange(len(edges))
        choices[1 + np.arange(len(edges)), edges] += sets - 1 - np.arange(len(edges))  # one edge takes the last set
        reference, *changed = outputs(choices)
        alive = [edge for edge, output in zip(edges, changed, strict=True) if np.abs(output - reference).max() > 1e-9]
        orders = np.array(list(permutations(range(len(alive)))), dtype=int)
        choices = np.repeat([[start[operation] for operation in genome]], len(orders), axis=0)
        choices[:, alive] += orders
        prints[row] = outputs(choices).min(axis=0)
    return prints


def _clusters(values: np.ndarray) -> list[int]:
    """Number values so that those within rounding errors of each other are equal; refuse doubtful distances."""
    order = np.argsort(values)
    gaps = np.diff(values[order])
    assert not np.any((gaps > 1e-11) & (gaps < 1e-9)), "rounding errors and differences cannot be told apart"
    labels = np.empty(len(values), dtype=int)
    labels[order] = np.concatenate(([0], np.cumsum(gaps > 1e-10)))
    return [int(label) for label in labels]


def _with_shared_weights(space: Cell201, genome: Genome) -> torch.nn.Module:
    """Build a network in which a cell's convolutions of one shape share their weights, and all share a batch norm."""
    network = space.build(genome).double()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            key = re.sub(r"edge_\d_\d", str(tuple(tensor.shape)), name)
            generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
            values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(values.square() + 0.5 if name.endswith("running_var") else values)
    return network


def _published_name(genome: Genome) -> str:
    names = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    parts = [f"{names[operation]}~{source}" for (source, _), operation in zip(EDGES, genome, strict=True)]
    return "+".join(f"|{'|'.join(parts[first:last])}|" for first, last in ((0, 1), (1, 3), (3, 6)))


def _published_string(genome: Genome) -> str:
    nodes = ["0", "", "", ""]
    for target in (1, 2, 3):
        terms = []
        for (source, edge_target), operation in zip(EDGES, genome, strict=True):
            if edge_target == target:
                if operation == NONE or nodes[source] == "#":
                    terms.append("#")
                elif operation == SKIP:
                    terms.append(nodes[source])
                else:
                    terms.append(f"({nodes[source]})@{OPERATIONS[operation]}")
        nodes[target] = "+".join(sorted(terms))
    return nodes[3]
