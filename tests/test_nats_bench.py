"""The topology files of NATS-Bench become tables: means over seeds, the official costs, and nothing in them runs."""

from __future__ import annotations

import bz2
import pickle
from collections.abc import Mapping
from pathlib import Path

import nats_files
import pytest
from malicious import making

from evonas.convert.base import Converted
from evonas.convert.nats_bench import convert
from evonas.errors import DataError
from evonas.spaces.cell201 import Cell201

GENES = [gene.name for gene in Cell201().genes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _written(tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2", _whole(nats_files.architectures()))


def test_genes_are_those_of_cell201(file: Path) -> None:
    columns = _convert(file).columns
    assert [list(row) for row in zip(*(columns[gene] for gene in GENES), strict=True)] == [
        ["conv_3x3", "none", "conv_1x1", "skip_connect", "none", "avg_pool_3x3"],
        ["none", "none", "none", "skip_connect", "none", "none"],
    ]


@pytest.mark.parametrize("data_set", ["cifar10", "cifar100", "imagenet16_120"])
def test_numbers_are_means_over_seeds_after_the_last_epoch(file: Path, data_set: str) -> None:
    long, short = _convert(file, 200).columns, _convert(file, 12).columns
    for split in ("valid", "test"):
        assert long[f"{data_set}_{split}_accuracy"] == pytest.approx([0.65, 0.66])
        assert short[f"{data_set}_{split}_accuracy"] == pytest.approx([0.60, 0.61])
    assert long[f"{data_set}_seconds"] == [200 * 2 + 0.5] * 2
    assert short[f"{data_set}_seconds"] == [12 * 2 + 0.5] * 2
    assert long[f"{data_set}_latency_ms"] == pytest.approx([20, 20])
    assert long[f"{data_set}_params"] == [129_306] * 2
    assert long[f"{data_set}_flops"] == [1_293_060] * 2


def test_a_folder_of_files_is_the_same_table(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    _written(folder / "meta.pickle.pbz2", {"meta_archs": list(nats_files.CELLS), "total_archs": 15625})
    for number, lengths in nats_files.architectures().items():
        _written(folder / f"{number:06d}.pickle.pbz2", lengths)
    assert _convert(folder) == _convert(file)


def test_where_seeds_disagree_on_the_size_one_is_right(tmp_path: Path) -> None:
    legacy = nats_files.results(0, 200, [777, 888, 999], [0.1, 0.2, 0.3])
    columns = _convert(_written(tmp_path / "file", _whole({0: {"200": legacy}}))).columns
    assert columns["cifar10_params"] == [200_000]
    assert columns["cifar10_flops"] == [2_000_000]


def test_what_was_not_measured_is_missing(tmp_path: Path) -> None:
    unmeasured = nats_files.architectures(latency=None, train_times=None)
    converted = _convert(_written(tmp_path / "file", _whole(unmeasured)))
    columns = converted.columns
    assert "seconds" not in converted.experiment
    assert columns["cifar10_latency_ms"] == columns["cifar10_seconds"] == [None, None]
    assert columns["cifar10_valid_accuracy"] == pytest.approx([0.65, 0.66])


def test_progress_grows_to_the_whole(file: Path) -> None:
    told: list[float] = []
    convert(file, 200, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_command_in_the_file_is_refused_and_not_run(tmp_path: Path) -> None:
    marker, file = tmp_path / "ran", tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    file.write_bytes(bz2.compress(making(marker)))
    with pytest.raises(DataError, match=r"3ffb9\.pickle\.pbz2 asks for posix\.system, which is no plain data"):
        _convert(file)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "is no file of this benchmark: it has no dictionary 'arch2infos', but list"),
        ({"meta_archs": []}, "has no dictionary 'arch2infos', but meta_archs"),
        ({"arch2infos": []}, "has no dictionary 'arch2infos'"),
        (
            {"arch2infos": {0: {"90": {}}}},
            "architecture 0 has no results '200', but 90: choose another length with --epochs",
        ),
        (
            {"arch2infos": {0: {"200": {"arch_str": "8:16:32:64:64"}}}},
            "architecture 0.*'8:16:32:64:64' is no cell of the topology",
        ),
        (
            {"arch2infos": {0: {"200": {"arch_str": nats_files.CELLS[0]}}}},
            "architecture 0 lacks.*KeyError: 'dataset_seed'",
        ),
        ({"arch2infos": {0: {"200": [1]}}}, "architecture 0 lacks.*TypeError"),
        (
            {"arch2infos": {n: {"200": nats_files.results(0, 200, [777], [1.0])} for n in (0, 1)}},
            r"architecture 1, \|nor_conv_3x3~0.*, occurs twice",
        ),
        ({"arch2infos": {}}, "holds no architecture"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _convert(_written(tmp_path / "file", content))


def test_damaged_and_missing_files_are_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-3], b"no bz2", b"", whole[:500] + b"?" + whole[501:]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged or cut short"):
            _convert(file)
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        _convert(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no 000000\.pickle\.pbz2 or the like in .*empty"):
        _convert(tmp_path / "empty")


def _convert(source: Path, epochs: int = 200) -> Converted:
    return convert(source, epochs, lambda _: None)


def _whole(architectures: object) -> Mapping[str, object]:
    return {"meta_archs": list(nats_files.CELLS), "arch2infos": architectures, "evaluated_indexes": {0, 1}}


def _written(file: Path, content: object) -> Path:
    with bz2.BZ2File(file, "wb") as stream:
        pickle.dump(content, stream, protocol=4)
    return file
