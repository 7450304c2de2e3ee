"""The files of NAS-Bench-201, as torch writes them, become tables without torch; weights are left out."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import nats_files
import pytest
import torch
from malicious import making

from evonas.convert.base import Converted
from evonas.convert.nasbench201 import convert
from evonas.errors import ConfigError, DataError

WEIGHTS = OrderedDict(
    {"weight": torch.nn.Parameter(torch.ones(2, 3)), "count": torch.tensor(3), "half": torch.ones(1).half()}
)


@pytest.fixture(params=[False, True], ids=["before-torch-1.6", "zip"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    architectures = nats_files.architectures("less", "full", net_state_dict=WEIGHTS)
    whole = {"meta_archs": list(nats_files.CELLS), "arch2infos": architectures, "evaluated_indexes": {0, 1}}
    torch.save(whole, path, _use_new_zipfile_serialization=request.param)
    return path


def test_results_are_those_of_either_length(file: Path) -> None:
    assert _convert(file, 200).columns["cifar100_valid_accuracy"] == pytest.approx([0.65, 0.66])
    assert _convert(file, 12).columns["cifar100_valid_accuracy"] == pytest.approx([0.60, 0.61])
    assert _convert(file, 12).columns["cifar10_params"] == [129_306] * 2
    assert _convert(file, 12).columns["edge_0_1"] == ["conv_3x3", "none"]


def test_torch_is_not_needed(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from evonas.convert.nasbench201 import convert\n"
        "assert len(convert(Path(sys.argv[1]), 200, lambda share: None)) == 2\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


def test_a_command_in_the_file_is_refused_and_not_run(file: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", making(marker, protocol=2))
    else:
        stream = io.BytesIO(file.read_bytes())
        for _ in range(3):
            pickle.load(stream)
        file.write_bytes(stream.getvalue()[: stream.tell()] + making(marker, protocol=2))
    with pytest.raises(DataError, match=r"096897\.pth asks for posix\.system, which is no plain data"):
        _convert(file)
    assert not marker.exists()


def test_other_lengths_of_training_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="trained for 12 or 200 epochs, not 90"):
        _convert(file, 90)


def test_files_cut_short_are_refused(file: Path) -> None:
    whole = file.read_bytes()
    for end in (0, 10, 1000, len(whole) // 2):
        file.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"096897\.pth"):
            _convert(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"model": WEIGHTS}, file)
    with pytest.raises(DataError, match="has no dictionary 'arch2infos', but model"):
        _convert(file)
    file.write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match=r"other\.pth is no file that torch saved"):
        _convert(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match=r"other\.pth is no file that torch saved: it has no data\.pkl"):
        _convert(file)


def _convert(source: Path, epochs: int = 200) -> Converted:
    return convert(source, epochs, lambda _: None)
