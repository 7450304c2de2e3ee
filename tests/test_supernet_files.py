"""A supernet's file gives its weights back without copying them, and is there whole or as it was before."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from plain_supernet import PlainSpace, PlainSupernet, plain_experiment
from private_mount import in_a_namespace
from torch import Tensor

from evonas import config_supernet, supernet_run
from evonas.errors import DataError, RunFolderError
from evonas.supernet_folder import CHECKPOINT, WEIGHTS, SupernetHeader
from evonas.workers.supernets import files
from evonas.workers.supernets.method import subnet_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "plain"
    experiment = config_supernet.parse(plain_experiment(recipe={"epochs": 1}))
    supernet_run.run(experiment, path, lambda prepared, path: ())
    return path


def outputs(supernet: torch.nn.Module) -> Tensor:
    inputs = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    result: Tensor = subnet_of(supernet, (1,))(inputs)
    return result.detach()


def test_a_restored_supernet_computes_on_the_arrays_themselves(folder: Path) -> None:
    file = files.load(folder)
    shared = {name: array.copy() for name, array in file.arrays.items()}
    for array in shared.values():
        array.flags.writeable = False
    supernet = files.restored(file, PlainSpace(), shared)
    assert isinstance(supernet, PlainSupernet)
    for name, parameter in supernet.named_parameters():
        assert parameter.data_ptr() == shared[f"weights/{name}"].ctypes.data
    fresh = PlainSupernet(PlainSpace())
    assert not torch.equal(outputs(fresh), outputs(supernet))
    fresh.load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in files.part(shared, "weights/").items()}
    )
    assert torch.equal(outputs(fresh), outputs(supernet))


def test_the_file_alone_is_enough(folder: Path) -> None:
    file = files.load(folder / WEIGHTS)
    assert file.header == files.load(folder).header
    assert file.header.config["supernet"] == {"use": "plain_supernet:PlainSupernet"}


def test_another_space_is_refused(folder: Path) -> None:
    file = files.load(folder)
    with pytest.raises(DataError, match=r"is of another space: 'network.1.weight' differs \(of 1 weights\)"):
        files.restored(file, PlainSpace(inputs=32), file.arrays)


def test_a_damaged_a_missing_and_a_foreign_file_are_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        (tmp_path / WEIGHTS).write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cannot be read .*: it is damaged, or no safetensors file"):
            files.load(tmp_path)
    with pytest.raises(DataError, match="there is no trained supernet at"):
        files.load(tmp_path / "nowhere.safetensors")
    files.write(tmp_path / "other.safetensors", {"a": np.zeros(3)}, {})
    with pytest.raises(DataError, match="is no supernet of evonas"):
        files.load(tmp_path / "other.safetensors")


def test_what_cannot_be_written_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    done = in_a_namespace(
        """
        mkdir disk; mount -t tmpfs -o size=64k tmpfs disk
        python - <<'PYTHON'
from pathlib import Path
import numpy as np
from evonas.errors import RunFolderError
from evonas.workers.supernets import files
path = Path("disk/checkpoint.safetensors")
files.write(path, {"a": np.arange(4000, dtype=np.float32)}, {"epochs": "1"})
try:
    files.write(path, {"a": np.zeros(100_000, dtype=np.float32)}, {"epochs": "2"})
except RunFolderError as error:
    print(error)
arrays, facts = files.read(path)
print(facts, int(arrays["a"].sum()), [entry.name for entry in path.parent.iterdir()])
PYTHON
        """.replace("python -", f"{sys.executable} -"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written (No space left on device): what was there before is valid still" in done.stdout
    assert "{'epochs': '1'} 7998000 ['checkpoint.safetensors']" in done.stdout


def test_what_killed_writers_have_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    files.write(tmp_path / CHECKPOINT, {}, {})
    for name in (f".{CHECKPOINT}.0a1b2c3d", f".{WEIGHTS}.0a1b2c3d", ".other.0a1b2c3d"):
        (tmp_path / name).touch()
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.0a1b2c3d", CHECKPOINT]


def test_a_read_only_folder_is_said_plainly(folder: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be written"):
        files.write(folder / "missing" / CHECKPOINT, {}, {})
    with pytest.raises(RunFolderError, match="no header of a supernet"):
        SupernetHeader.of({"name": "x"})
