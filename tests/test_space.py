"""What a search space derives from its genes and costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from toy import ToySpace

from evonas.errors import GenomeError
from evonas.space import Gene, Genome, Metrics


class ChainSpace(ToySpace):
    """A chain of `depth` layers of one width and kernel."""

    def __init__(self) -> None:
        self.genes = [
            Gene("depth", (8, 1, 2, 3, 4, 6)),
            Gene("width", (8, 16, 24)),
            Gene("kernel", (3, 1, 5)),
            Gene("act", ("relu", "[swish]")),
        ]

    def canonical(self, genome: Genome) -> Genome:
        return genome

    def costs(self, genome: Genome) -> Metrics:
        depth, width, kernel = (int(str(self.genes[i].options[genome[i]])) for i in range(3))
        return {"params": float(depth * width * width * kernel * kernel)}


SPACE = ChainSpace()


def test_size_is_exact_however_large() -> None:
    assert SPACE.size() == 6 * 3 * 3 * 2
    assert ToySpace(length=100).size() == 3**100


def test_a_small_space_lists_its_networks_and_a_large_one_none() -> None:
    toy = ToySpace(length=5)
    listed = toy.networks(3**5)
    assert listed == sorted({toy.canonical(genome) for genome in itertools.product(range(3), repeat=5)})
    assert toy.networks(3**5 - 1) is None
    assert ToySpace(length=100).networks(10**6) is None


def test_sampling_is_uniform_over_options() -> None:
    rng = np.random.default_rng(0)
    genomes = np.array([SPACE.sample(rng) for _ in range(6000)])
    for position, gene in enumerate(SPACE.genes):
        shares = np.bincount(genomes[:, position], minlength=len(gene.options)) / len(genomes)
        assert np.abs(shares - 1 / len(gene.options)).max() < 0.03


def test_smallest_and_largest_are_the_extremes_where_genes_act_independently() -> None:
    params = {genome: SPACE.costs(genome)["params"] for genome in itertools.product(*map(_indices, SPACE.genes))}
    assert SPACE.costs(SPACE.smallest())["params"] == min(params.values())
    assert SPACE.costs(SPACE.largest())["params"] == max(params.values())


def _indices(gene: Gene) -> range:
    return range(len(gene.options))


@pytest.mark.parametrize(
    ("genome", "said"),
    [
        ((0, 0, 0), "has 4 genes, not 3"),
        ((0, 0, 3, 0), r"gene 'kernel' has options 0 to 2 \(3, 1, 5\), not 3"),
        ((-1, 0, 0, 0), "gene 'depth' has options 0 to 5"),
        ((0, True, 0, 0), "gene 'width' takes the index of an option, not True"),
        ((0, 0, 0, 1.0), "gene 'act' takes the index of an option, not 1.0"),
    ],
)
def test_a_genome_of_another_space_is_refused_by_gene_rule_and_value(genome: tuple[int, ...], said: str) -> None:
    with pytest.raises(GenomeError, match=said):
        SPACE.validate(genome)


def test_valid_genomes_become_plain_tuples() -> None:
    valid = SPACE.validate(np.array([5, 0, 2, 1]))  # type: ignore[arg-type]
    assert valid == (5, 0, 2, 1)
    assert {type(index) for index in valid} == {int}
    assert SPACE.describe(valid) == {"depth": "6", "width": "8", "kernel": "5", "act": "[swish]"}
