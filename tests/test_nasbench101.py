"""The files of NAS-Bench-101 become tables of Cell101: a row a network, means over its trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfrecord_files import framed, metrics, record

from evonas.convert.base import Converted
from evonas.convert.nasbench101 import convert
from evonas.errors import DataError
from evonas.spaces.cell101 import Cell101

CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
FIRST = "0100110" + "0010000" + "0001001" + "0000010" + "0000010" + "0000001" + "0000000"
FIRST_OPERATIONS = ["input", CONV3, POOL, CONV3, CONV3, CONV1, "output"]
SMALL, SMALL_OPERATIONS = "010001000", ["input", POOL, "output"]
PUBLISHED = [  # three trainings of the published table's first network
    (1769.1279296875, 0.9241786599159241, 0.9211738705635071),
    (1768.2509765625, 0.9245793223381042, 0.9190705418586731),
    (1768.5, 0.9265, 0.9170),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        record("00005c142e6f48ac74fdcf73e3439874", 108, FIRST, FIRST_OPERATIONS, metrics(8_555_530, *run))
        for run in PUBLISHED
    ]
    rows.insert(1, record("small", 108, SMALL, SMALL_OPERATIONS, metrics(900_000, 100.0, 0.5, 0.4)))
    rows.append(record("small", 4, SMALL, SMALL_OPERATIONS, metrics(900_000, 4.0, 0.3, 0.2)))
    return _written(tmp_path, *rows)


def test_numbers_are_means_over_the_trainings_of_a_network(file: Path) -> None:
    columns = _convert(file).columns
    assert columns["hash"] == ["00005c142e6f48ac74fdcf73e3439874", "small"]
    for number, name in enumerate(("seconds", "valid_accuracy", "test_accuracy")):
        assert columns[name][0] == pytest.approx(sum(run[number] for run in PUBLISHED) / 3)
    assert [columns[name][1] for name in ("seconds", "valid_accuracy", "test_accuracy")] == [100.0, 0.5, 0.4]
    assert columns["params"] == [8_555_530, 900_000]


def test_other_lengths_of_training_are_other_tables(file: Path) -> None:
    columns = _convert(file, 4).columns
    assert (columns["hash"], columns["seconds"], columns["valid_accuracy"]) == (["small"], [4.0], [0.3])
    with pytest.raises(DataError, match="has no networks of 36 epochs: choose --epochs from 4, 108"):
        _convert(file, 36)


def test_genes_are_those_of_cell101_whose_costs_are_the_params(file: Path) -> None:
    columns, space = _convert(file).columns, Cell101()
    rows = zip(*(columns[gene.name] for gene in space.genes), strict=True)
    genomes = [tuple(gene.options.index(option) for gene, option in zip(space.genes, row, strict=True)) for row in rows]
    assert [space.canonical(genome) for genome in genomes] == genomes
    assert space.costs(genomes[0])["params"] == columns["params"][0]
    assert space.describe(genomes[1])["edge_1_6"] == "1"
    assert space.describe(genomes[1])["op_1"] == POOL


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (framed(b"no JSON"), "record 2 is none of NAS-Bench-101: Expecting value"),
        (framed(b"[1, 2]"), "record 2 is none of NAS-Bench-101: not enough values"),
        (record("x", 108, SMALL, ["input", POOL, POOL, "output"], b""), "record 2.*"),
        (record("x", 108, SMALL, SMALL_OPERATIONS, b"\x08"), "record 2.*the protocol buffer is cut short"),
        (record("x", 108, SMALL, ["input", "conv7x7", "output"], metrics(1, 1, 1, 1)), "record 2.*"),
        (record("x", 108, "01000", SMALL_OPERATIONS, metrics(1, 1, 1, 1)), "the matrix of 3 vertices has 5 entries"),
        (record("x", 108, "0" * 9, SMALL_OPERATIONS, metrics(1, 1, 1, 1)), "record 2.*over at most 9 edges"),
        (
            record("x", 108, "01" * 32, ["input", *[POOL] * 6, "output"], metrics(1, 1, 1, 1)),
            "record 2.*the space has no ",
        ),
    ],
)
def test_other_records_are_refused(tmp_path: Path, row: bytes, said: str) -> None:
    good = record("small", 108, SMALL, SMALL_OPERATIONS, metrics(900_000, 100.0, 0.5, 0.4))
    with pytest.raises(DataError, match=said):
        _convert(_written(tmp_path, good, row))


def test_files_cut_short_and_empty_and_missing_ones_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"nasbench_only108\.tfrecord is cut short in record 5"):
        _convert(file)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="has no networks of 108 epochs: choose --epochs from none"):
        _convert(file)
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        _convert(tmp_path / "nowhere")


def _convert(source: Path, epochs: int = 108) -> Converted:
    return convert(source, epochs, lambda _: None)


def _written(folder: Path, *rows: bytes) -> Path:
    file = folder / "nasbench_only108.tfrecord"
    file.write_bytes(b"".join(rows))
    return file
