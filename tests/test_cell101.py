"""The cell space of NAS-Bench-101: published rows, exact costs, and isomorphic graphs as one network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from space_contract import SpaceContract
from torch.nn import functional

from evonas.errors import ConfigError, GenomeError
from evonas.space import Genome
from evonas.spaces.cell101 import Cell101, vertex_channels
from evonas.spaces.cell101_graph import EDGES, MOST_EDGES, OPERATIONS, VERTICES, graph_of, live_edges

CONV3, CONV1, POOL = range(3)
TINY = Cell101(stem_channels=6, stacks=2, modules_per_stack=1, input_shape=(1, 7, 5), classes=3)
Matrix = Sequence[Sequence[int]]


class TestCell101(SpaceContract):
    space = Cell101(stem_channels=7, stacks=2, modules_per_stack=2, input_shape=(3, 9, 7), classes=5)
    built = 4


# --- the published table ----------------------------------------------------------------------------------------------

INCEPTION = (
    [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    [CONV1, CONV3, CONV3, CONV3, POOL],
)
INCEPTION_IN_THE_TABLE = (
    [
        [0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    [CONV3, CONV1, POOL, CONV3, CONV3],
)
FIRST_IN_THE_TABLE = (
    [
        [0, 1, 0, 0, 1, 1, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    [CONV3, POOL, CONV3, CONV3, CONV1],
)


def test_params_equal_the_published_rows() -> None:
    space = Cell101()
    assert space.costs(_genome(*INCEPTION))["params"] == 2_694_282
    assert space.costs(_genome(*FIRST_IN_THE_TABLE))["params"] == 8_555_530


def test_canonical_is_how_the_published_table_writes_a_graph() -> None:
    space = Cell101()
    assert space.canonical(_genome(*INCEPTION)) == _genome(*INCEPTION_IN_THE_TABLE)
    assert space.canonical(_genome(*FIRST_IN_THE_TABLE)) == _genome(*FIRST_IN_THE_TABLE)


def test_smallest_and_largest_are_those_of_the_published_table() -> None:
    space = Cell101()
    assert space.costs(space.smallest())["params"] == 227_274
    assert space.costs(space.largest())["params"] == 49_979_274


@pytest.mark.parametrize(
    ("edges", "outputs", "channels"),
    [  # from the unit tests of the published code
        (["0-1", "1-2", "2-3"], 16, [16, 16, 16]),
        (["0-1"], 5, [5]),
        (["0-1", "0-2", "1-3", "2-3"], 15, [8, 7, 15]),
        (["0-1", "0-2", "0-3", "1-4", "2-4", "3-4"], 8, [3, 3, 2, 8]),
        (["0-1", "1-2", "1-3", "2-4", "3-4"], 9, [5, 5, 4, 9]),
        (["0-1", "0-3", "1-2", "1-4", "2-3", "3-4"], 15, [8, 7, 7, 15]),
    ],
)
def test_channels_are_split_as_in_the_published_code(edges: list[str], outputs: int, channels: list[int]) -> None:
    size = len(channels) + 1
    matrix = [[f"{source}-{target}" in edges for target in range(size)] for source in range(size)]
    assert vertex_channels(matrix, outputs)[1:] == channels


# --- which graphs are one network -------------------------------------------------------------------------------------


def test_canonical_joins_exactly_the_graphs_of_one_published_hash() -> None:
    """All graphs of at most five vertices, in the order of the published generator: the first stands for its hash."""
    first: dict[str, Genome] = {}
    counts = defaultdict[int, int](int)
    for matrix, operations in _all_graphs(5):
        fingerprint, genome = _published_hash(matrix, operations), _genome(matrix, operations)
        counts[len(matrix)] += fingerprint not in first
        assert TINY.canonical(genome) == first.setdefault(fingerprint, genome)
    assert counts == {2: 1, 3: 6, 4: 84, 5: 2441}


def test_canonical_ignores_the_order_of_vertices_and_what_is_pruned() -> None:
    rng = np.random.default_rng(1)
    tried = 0
    while tried < 100:
        genome = _uniform(rng)
        if not 0 < len(live_edges(genome)) <= MOST_EDGES:
            continue
        matrix, operations = graph_of(genome)
        order = [0, *(1 + rng.permutation(len(operations))).tolist(), len(operations) + 1]
        shuffled = np.array(matrix)[np.ix_(order, order)]
        if np.tril(shuffled).any():
            continue
        tried += len(operations) > 1
        again = _genome(shuffled.tolist(), [OPERATIONS.index(operations[vertex - 1]) for vertex in order[1:-1]])
        assert TINY.canonical(again) == TINY.canonical(genome)


def test_networks_of_a_genome_and_its_canonical_are_equal() -> None:
    images = torch.randn(2, 1, 7, 5)
    outputs = []
    for genome in (_genome(*INCEPTION), _genome(*INCEPTION_IN_THE_TABLE)):
        torch.manual_seed(0)
        outputs.append(TINY.build(genome)(images))
    assert torch.equal(*outputs)


# --- what belongs to the space ----------------------------------------------------------------------------------------


def test_samples_are_uniform_over_networks() -> None:
    """Of the published 423,624 networks 359,082 have seven vertices and 62,010 have six."""
    rng = np.random.default_rng(0)
    genomes = [TINY.sample(rng) for _ in range(2000)]
    assert all(TINY.canonical(genome) == genome for genome in genomes)
    sizes = [len(graph_of(genome).matrix) for genome in genomes]
    for size, networks in ((7, 359_082), (6, 62_010)):
        share = networks / 423_624
        assert abs(sizes.count(size) / 2000 - share) < 4 * (share * (1 - share) / 2000) ** 0.5
    assert len(set(genomes)) > 1980
    options = [{genome[gene] for genome in genomes} for gene in range(len(TINY.genes))]
    assert [len(seen) for seen in options[1:]] == [len(gene.options) for gene in TINY.genes[1:]]
    assert options[0] == {1}  # whatever vertex comes first reads the input


def test_size_counts_the_genomes_that_belong() -> None:
    rng = np.random.default_rng(0)
    share = TINY.size() / (2 ** len(EDGES) * 3**5)
    belong = np.mean([0 < len(live_edges(_uniform(rng))) <= MOST_EDGES for _ in range(3000)])
    assert abs(belong - share) < 4 * (share * (1 - share) / 3000) ** 0.5


NO_PATH = (0,) * len(EDGES) + (CONV3,) * 5
ALL_EDGES = (1,) * len(EDGES) + (CONV1,) * 5


@pytest.mark.parametrize(("genome", "edges"), [(NO_PATH, "are none"), (ALL_EDGES, "are 0-1, 0-2, 0-3, ")])
def test_graphs_outside_the_space_are_refused(genome: Genome, edges: str) -> None:
    for use in (TINY.validate, TINY.canonical, TINY.costs, TINY.build):
        with pytest.raises(GenomeError, match=f"over at most 9 edges that matter, and this one's {edges}"):
            use(genome)


def test_bred_graphs_outside_the_space_are_moved_into_it_by_few_edges() -> None:
    rng = np.random.default_rng(2)
    bred = [NO_PATH, ALL_EDGES]
    while len(bred) < 30:
        genome = _uniform(rng)
        if len(live_edges(genome)) > MOST_EDGES:
            bred.append(genome)
    for genome in bred:
        near = TINY.nearest(genome)
        assert near == TINY.nearest(genome)
        assert len(near) == len(set(near)) >= 1
        for other in near:
            assert TINY.validate(other) == other
            assert other[len(EDGES) :] == genome[len(EDGES) :]
        counts = [len(live_edges(other)) for other in near]
        assert set(counts) == ({1} if genome == NO_PATH else {MOST_EDGES})


def test_a_graph_of_the_space_is_its_own_nearest() -> None:
    genome = TINY.sample(np.random.default_rng(0))
    assert TINY.nearest(genome) == (genome,)


# --- network and construction -----------------------------------------------------------------------------------------


def test_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(24, 1, 7, 5), torch.arange(24) % 3
    network = TINY.build(_genome(*FIRST_IN_THE_TABLE))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stem_channels": 0}, "'stem_channels' must be a whole number, 1 or more, not 0"),
        ({"stem_channels": 4}, "'stem_channels' must be 5 or more, one for each inner vertex, not 4"),
        ({"stacks": 1.5}, "'stacks'.*not 1.5"),
        ({"modules_per_stack": True}, "'modules_per_stack'.*not True"),
        ({"input_shape": (64,)}, r"'input_shape' must be an image.*not \(64,\): reshape"),
        ({"input_shape": 32}, "'input_shape'.*not 32"),
    ],
)
def test_impossible_skeletons_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Cell101(**options)  # type: ignore[arg-type]


def test_importing_and_costing_need_no_torch() -> None:
    code = (
        "import sys; from evonas.spaces.cell101 import Cell101; space = Cell101()\n"
        "space.costs(space.canonical(space.largest()))\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])


def _uniform(rng: np.random.Generator) -> Genome:
    """Return any combination of options."""
    return (*rng.integers(2, size=len(EDGES)).tolist(), *rng.integers(3, size=5).tolist())


def _genome(matrix: Matrix, operations: Sequence[int]) -> Genome:
    """Return a genome with the inner vertices of a graph first and its output last."""
    place = [*range(len(matrix) - 1), VERTICES - 1]
    edges = {(place[s], place[t]) for s, row in enumerate(matrix) for t, edge in enumerate(row) if edge}
    unused = (0,) * (VERTICES - 2 - len(operations))
    return (*(int(edge in edges) for edge in EDGES), *operations, *unused)


def _all_graphs(vertices: int) -> Iterator[tuple[Matrix, tuple[int, ...]]]:
    """Yield all graphs without hanging vertices, in the order of the published generate_graphs.py."""
    for size in range(2, vertices + 1):
        for bits in range(2 ** (size * (size - 1) // 2)):
            matrix = np.zeros((size, size), dtype=int)
            for target in range(size):
                for source in range(target):
                    matrix[source, target] = bits >> (source + target * (target - 1) // 2) & 1
            if matrix[:-1].any(axis=1).all() and matrix[:, 1:].any(axis=0).all() and matrix.sum() <= MOST_EDGES:
                yield from ((matrix.tolist(), labels) for labels in product(range(3), repeat=size - 2))


def _published_hash(matrix: Matrix, operations: Sequence[int]) -> str:
    """Return the hash of a graph as in the published graph_util.py: Weisfeiler-Lehman over MD5."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    vertices = range(len(matrix))
    labels = [-1, *operations, -2]
    hashes = [md5(str((sum(matrix[v]), sum(row[v] for row in matrix), labels[v]))) for v in vertices]
    for _ in vertices:
        ins = ["".join(sorted(hashes[w] for w in vertices if matrix[w][v])) for v in vertices]
        outs = ["".join(sorted(hashes[w] for w in vertices if matrix[v][w])) for v in vertices]
        hashes = [md5(f"{ins[v]}|{outs[v]}|{hashes[v]}") for v in vertices]
    return md5(str(sorted(hashes)))
