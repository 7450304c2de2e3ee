"""The NASNet cell space: its genes, what it refuses, and the experiments that search it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_thread import one_thread  # noqa: F401
from space_contract import SpaceContract

from evonas.compose import prepare
from evonas.config import load
from evonas.errors import ConfigError, GenomeError
from evonas.spaces.nasnet_cell import NASNetCell
from evonas.workers.datasets import digits
from evonas.workers.trained import Trained

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {"channels": 4, "layers": 4, "final_layers": 3, "input_shape": (3, 9, 7), "classes": 5}


class TestNASNetCell(SpaceContract):
    space = NASNetCell(blocks=3, **SMALL)
    built = 2


class TestNASNetCellOfNSGANet(SpaceContract):
    space = NASNetCell(operations="nsga", blocks=2, concatenate="all", auxiliary=True, increment=2, **SMALL)
    built = 1


def test_the_paper_s_genes() -> None:
    space = NASNetCell()
    assert len(space.genes) == 40
    assert [len(gene.options) for gene in space.genes[:20]] == [
        10,
        2,
        10,
        2,
        10,
        3,
        10,
        3,
        10,
        4,
        10,
        4,
        10,
        5,
        10,
        5,
        10,
        6,
        10,
        6,
    ]
    assert [gene.options for gene in space.genes[:20]] == [gene.options for gene in space.genes[20:]]
    assert NASNetCell(operations="nsga").size() == (9**10 * 720**2) ** 2
    described = space.describe((3, 1, 2, 0, 7, 2, 0, 2, *(0,) * 32))
    assert list(described.items())[:6] == [
        ("normal_0_left", "sep_conv_3x3"),
        ("normal_0_left_input", "cell_k-1"),
        ("normal_0_right", "skip_connect"),
        ("normal_0_right_input", "cell_k-2"),
        ("normal_1_left", "conv_7x1_1x7"),
        ("normal_1_left_input", "block_0"),
    ]


@pytest.mark.parametrize("concatenate", ["loose_ends", "all"])
def test_equal_networks_have_equal_costs_and_notation_does_not_matter(concatenate: Any) -> None:
    space, rng = NASNetCell(concatenate=concatenate), np.random.default_rng(2)
    folded = 0
    for _ in range(300):
        genome = space.sample(rng)
        canonical = space.canonical(genome)
        assert space.costs(genome) == space.costs(canonical)
        assert space.canonical(_rewritten(genome, rng)) == canonical
        folded += genome != canonical
    assert folded > 290, "a genome is hardly ever in canonical form"


def _rewritten(genome: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """Swap the operations of blocks, and blocks of which none reads the other, at random."""
    written: list[int] = []
    for cell in (genome[:20], genome[20:]):
        blocks = [[cell[i : i + 2], cell[i + 2 : i + 4]] for i in range(0, 20, 4)]
        for block in blocks:
            rng.shuffle(block)
        for _ in range(6):
            first = int(rng.integers(4))
            if first + 2 not in [source for _, source in blocks[first + 1]]:
                blocks[first], blocks[first + 1] = blocks[first + 1], blocks[first]
                renamed = {first + 2: first + 3, first + 3: first + 2}
                for block in blocks[first + 2 :]:
                    block[:] = [(operation, renamed.get(source, source)) for operation, source in block]
        written += [int(number) for block in blocks for pair in block for number in pair]
    return tuple(written)


def test_smallest_is_the_smallest_of_both_networks() -> None:
    space, rng = NASNetCell(), np.random.default_rng(0)
    costs = [space.costs(space.sample(rng)) for _ in range(300)]
    smallest = space.costs(space.smallest())
    assert all(smallest[name] < min(cost[name] for cost in costs) for name in ("params", "final_params"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operations": "darts"}, "'operations' must be eeea or nsga, not 'darts'"),
        ({"concatenate": "some"}, "'concatenate' must be loose_ends or all"),
        ({"blocks": 0}, "'blocks' must be a whole number, 1 or more, not 0"),
        ({"layers": 2}, "'layers' must be a whole number, 3 or more, not 2"),
        ({"final_layers": 2.0}, "'final_layers'.*not 2.0"),
        ({"channels": 1}, "'channels' must be a whole number, 2 or more"),
        ({"increment": -1}, "'increment' must be a whole number, 0 or more"),
        ({"classes": True}, "'classes'.*not True"),
        ({"input_shape": (64,)}, "'input_shape' must be an image"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        NASNetCell(**options)


def test_a_block_cannot_read_a_later_one() -> None:
    space = NASNetCell(blocks=1)
    for use in (space.build, space.canonical, space.cells):
        with pytest.raises(GenomeError, match="normal_0_left_input"):
            use((0, 2, 0, 0, 0, 0, 0, 0))


def test_equal_options_are_equal_spaces() -> None:
    listed = NASNetCell(input_shape=[1, 8, 8])  # type: ignore[arg-type]  # as YAML has it
    assert listed == NASNetCell(input_shape=(1, 8, 8)) != NASNetCell()
    assert hash(listed) == hash(pickle.loads(pickle.dumps(listed)))


def test_costing_needs_no_torch() -> None:
    code = (
        "import sys; from evonas.spaces.nasnet_cell import NASNetCell; space = NASNetCell()\n"
        "space.costs(space.canonical(space.largest()))\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_network_with_a_second_head_is_trained_and_its_paths_dropped() -> None:
    space = NASNetCell(**{**SMALL, "blocks": 2, "auxiliary": True, "input_shape": (1, 8, 8), "classes": 10})
    data = digits(train_size=300)
    genome = space.canonical((3, 0, 2, 1, 0, 1, 3, 2) * 2)
    options: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 0.1}
    plain = Trained(space, data, 0, **options).measure(genome, None)
    assert plain["valid_error"] < 0.5
    for changed in ({"drop_path": 0.3}, {"auxiliary_weight": 0.0}):
        assert Trained(space, data, 0, **options, **changed).measure(genome, None)["train_loss"] != plain["train_loss"]


# --- the experiments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eeea_net", "nsga_net", "eeea_net_fashion", "nsga_net_fashion"])
def test_the_searches_of_the_papers_are_sound(name: str, tmp_path: Path) -> None:
    """On arrays in place of CIFAR-10 or Fashion-MNIST, which need not be here."""
    rng = np.random.default_rng(0)
    shape = (28, 28) if "fashion" in name else (32, 32, 3)
    images, labels = rng.integers(0, 256, (60, *shape), dtype=np.uint8), np.arange(60) % 10
    np.savez(tmp_path / "images.npz", inputs=images, labels=labels)
    data = ["data.use=evonas.workers.datasets:arrays", f"data.path={tmp_path / 'images.npz'}"]
    search = prepare(load(ROOT / "experiments" / f"{name}.yaml", [*data, "tracking=null"]))
    assert isinstance(search.space, NASNetCell)
    generations = {"eeea_net": 30, "nsga_net": 50}.get(name, 6)
    population = search.experiment.strategy.options["population"]
    assert search.experiment.evaluations == generations * population
    assert [gate.name for gate in search.gates] == (["final_params <= 3000000 (initial)"] if "eeea" in name else [])
