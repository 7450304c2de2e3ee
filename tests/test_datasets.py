"""The data sets that ship: found, read, refused with advice, and never downloaded or unpickled behind one's back."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from evonas.component import Component
from evonas.dataset import Dataset
from evonas.errors import ComponentError, DataError
from evonas.workers.datasets import arrays, digits, fashion_mnist, torchvision
from evonas.workers.datasets.fashion import FOLDERS
from evonas.workers.datasets.idx import read_idx

IMAGES = (np.arange(40 * 6 * 5) % 251).reshape(40, 6, 5).astype(np.uint8)
LABELS = (np.arange(40) % 10).astype(np.uint8)
FASHION = {
    "train-images-idx3-ubyte": IMAGES,
    "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": IMAGES[:10],
    "t10k-labels-idx1-ubyte": LABELS[:10],
}


def idx_bytes(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_fashion(folder: Path, *, gzipped: bool) -> Path:
    folder.mkdir(parents=True)
    for name, array in FASHION.items():
        content = idx_bytes(array)
        (folder / (name + ".gz" if gzipped else name)).write_bytes(gzip.compress(content) if gzipped else content)
    return folder


def test_importing_the_data_sets_imports_neither_torch_nor_sklearn() -> None:
    code = "import evonas.workers.datasets, sys; sys.exit(bool({'torch', 'sklearn', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["digits", "fashion_mnist", "arrays", "torchvision"])
def test_every_data_set_is_a_component_with_options_only(name: str) -> None:
    parameters = Component(f"evonas.workers.datasets:{name}").parameters()
    assert {"valid_fraction", "train_size", "split_seed"} <= set(parameters)
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())


def test_a_misspelt_data_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(ComponentError, match="did you mean 'digits'"):
        Component("evonas.workers.datasets:digit").load()


def test_digits_are_there_without_a_download() -> None:
    data = digits()
    assert data.input_shape == (1, 8, 8)
    assert len(data.classes) == 10
    assert (len(data.train), len(data.valid), len(data.test)) == (1079, 359, 359)
    assert data.train.inputs.dtype == np.uint8
    assert data.train.inputs.max() == 16


def test_digits_are_those_of_scikit_learn() -> None:
    bunch = load_digits()
    theirs = Dataset.from_arrays("digits", bunch.images.astype("uint8"), bunch.target)
    assert digits().fingerprint() == theirs.fingerprint()


def test_options_of_digits_reach_the_split() -> None:
    data = digits(valid_fraction=0.3, test_fraction=0.1, train_size=100, split_seed=1)
    assert (len(data.train), len(data.valid), len(data.test)) == (100, 539, 180)
    assert digits(split_seed=1).fingerprint() != digits(split_seed=2).fingerprint()


@pytest.mark.skipif(not Path(FOLDERS[0]).is_dir(), reason=f"no Debian package dataset-fashion-mnist in {FOLDERS[0]}")
def test_fashion_mnist_of_the_system_is_found_with_its_official_test_split() -> None:
    data = fashion_mnist(train_size=2000)
    assert data.input_shape == (1, 28, 28)
    assert (len(data.train), len(data.valid), len(data.test)) == (2000, 10_000, 10_000)
    assert data.classes[data.test.labels[0]] == "Ankle boot"  # known: the first test image
    assert np.bincount(data.train.labels).tolist() == [200] * 10


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_fashion_mnist_is_read_from_a_folder(gzipped: bool, below: str, tmp_path: Path) -> None:
    write_fashion(tmp_path / "root" / below, gzipped=gzipped)
    data = fashion_mnist(folder=str(tmp_path / "root"), valid_fraction=0.5)
    assert data.input_shape == (1, 6, 5)
    assert (len(data.train), len(data.valid), len(data.test)) == (20, 20, 10)
    assert np.array_equal(data.test.inputs[:, 0], IMAGES[:10])


def test_absent_fashion_mnist_is_answered_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fashion_mnist(folder=str(tmp_path / "nowhere"))
    for told in (str(tmp_path / "nowhere"), "FashionMNIST/raw", "dataset-fashion-mnist", "folder: "):
        assert told in str(caught.value)


def test_incomplete_fashion_mnist_names_the_missing_file(tmp_path: Path) -> None:
    folder = write_fashion(tmp_path / "root", gzipped=True)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"incomplete: t10k-labels-idx1-ubyte \(or \.gz\)"):
        fashion_mnist(folder=str(folder))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_numbers_come_back_in_native_order(dtype: str, tmp_path: Path) -> None:
    array = (np.arange(24) - (0 if dtype == "u1" else 12)).reshape(2, 3, 4).astype(dtype)
    (tmp_path / "array").write_bytes(idx_bytes(array))
    read = read_idx(tmp_path / "array")
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert np.array_equal(read, array)


GZIPPED = gzip.compress(idx_bytes(IMAGES))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"begins with the bytes \(none\)"),
        (b"<!DOCTYPE html>", "no IDX file: it begins with the bytes 3c 21 44 4f"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "no IDX file"),
        (idx_bytes(IMAGES)[:10], "ends within its header, after 10 bytes"),
        (idx_bytes(IMAGES)[:-1], r"shape \(40, 6, 5\), that is 1,216 bytes, and holds 1,215"),
        (idx_bytes(IMAGES) + b"\0", "holds 1,217"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "and holds 16"),
        (GZIPPED[:-20], "cannot be read"),
        (GZIPPED[:20] + b"\xff\xff\xff" + GZIPPED[23:], "cannot be read"),
        (GZIPPED[:-8] + b"\0" * 8, "cannot be read"),
        (b"\x1f\x8b", "cannot be read"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_idx(tmp_path / "images.gz")
    assert "images.gz" in str(caught.value)


@pytest.mark.parametrize("keys", [("inputs", "labels"), ("x", "y"), ("images", "labels")])
def test_arrays_are_read_from_an_npz_file(keys: tuple[str, str], tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mine.npz", **{keys[0]: IMAGES, keys[1]: LABELS})  # type: ignore[arg-type]
    data = arrays(path=str(tmp_path / "mine.npz"), test_fraction=0.25, valid_fraction=0.25)
    assert data.name == "mine"
    assert data.input_shape == (1, 6, 5)
    assert (len(data.train), len(data.valid), len(data.test)) == (20, 10, 10)


def test_test_arrays_of_an_npz_file_are_the_test_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", inputs=IMAGES, labels=LABELS, test_inputs=IMAGES[:7] ^ 1, test_labels=LABELS[:7])
    data = arrays(path=str(tmp_path / "mine.npz"), valid_fraction=0.25)
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 7)
    assert np.array_equal(data.test.inputs[:, 0], IMAGES[:7] ^ 1)


def test_a_missing_file_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=str(tmp_path / "none.npz")):
        arrays(path="none.npz")


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"pictures": IMAGES, "labels": LABELS}, "'inputs' or 'x' or 'images'; it holds pictures, labels"),
        ({"x": IMAGES}, "'labels' or 'y'; it holds x"),
        ({"x": IMAGES, "inputs": IMAGES, "y": LABELS}, "must hold one array"),
        ({"x": IMAGES, "y": LABELS, "test_inputs": IMAGES}, "'test_labels' or 'test_y'"),
        ({"x": IMAGES, "y": np.array([{}] * 40)}, "save arrays of numbers only"),
        ({}, "it holds none at all"),
    ],
)
def test_an_unfit_npz_file_is_refused(stored: dict[str, np.ndarray], told: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **stored)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=told):
        arrays(path=str(tmp_path / "bad.npz"))


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "single.npy", IMAGES)
    (tmp_path / "text.npz").write_text("inputs: 1")
    for name in ("single.npy", "text.npz"):
        with pytest.raises(DataError, match=r"is no \.npz file"):
            arrays(path=str(tmp_path / name))


def test_a_damaged_npz_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, inputs=IMAGES, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[300:310] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        arrays(path=str(path))


def test_a_pickle_in_an_npz_file_is_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "exploded",)  # type: ignore[return-value]

    np.savez(tmp_path / "bomb.npz", x=np.array([Bomb()] * 4, dtype=object), y=np.arange(4))
    with pytest.raises(DataError, match="unpickling objects would run code"):
        arrays(path=str(tmp_path / "bomb.npz"))
    assert not (tmp_path / "exploded").exists()


STAND_IN = """
import numpy as np

class _Images:
    def __init__(self, images, labels):
        self.images, self.labels = images, labels
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        return self.images[index], self.labels[index]

class CIFAR10(_Images):
    classes = ["airplane", "automobile"]
    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        if not download:
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
        count = 20 if train else 6
        super().__init__([np.full((4, 5, 3), i, dtype=np.uint8) for i in range(count)], [i % 2 for i in range(count)])

class SVHN(_Images):
    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        count = {"train": 20, "test": 6}[split]
        super().__init__([np.full((4, 5, 3), i, dtype=np.uint8) for i in range(count)], [i % 2 for i in range(count)])

class Ragged(_Images):
    def __init__(self, root, split="train", download=False):
        super().__init__([np.zeros((4, 4 + i, 3), dtype=np.uint8) for i in range(9)], [i % 2 for i in range(9)])

class FakeData(_Images):
    def __init__(self, size=1000):
        super().__init__([], [])
"""


@pytest.fixture
def torchvision_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with the calling conventions of torchvision, which may not be installed."""
    package = tmp_path / "packages" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "datasets.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(package.parent)
    for name in ("torchvision", "torchvision.datasets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield package
    for name in ("torchvision", "torchvision.datasets"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("torchvision_stand_in")
def test_sets_of_images_can_be_shrunk(tmp_path: Path) -> None:
    write_fashion(tmp_path / "fashion", gzipped=False)
    np.savez(tmp_path / "mine.npz", inputs=IMAGES[:, :, :4], labels=LABELS)
    mine = arrays(path=str(tmp_path / "mine.npz"), test_fraction=0.25, valid_fraction=0.25, shrink=2)
    assert mine.input_shape == (1, 3, 2)
    with pytest.raises(DataError, match="fashion_mnist: shrink must divide the images' 6 x 5 pixels"):
        fashion_mnist(folder=str(tmp_path / "fashion"), valid_fraction=0.5, shrink=2)
    with pytest.raises(DataError, match="CIFAR10: shrink must divide the images' 4 x 5 pixels"):
        torchvision(name="CIFAR10", root="data", download=True, shrink=2)


@pytest.mark.usefixtures("torchvision_stand_in")
def test_torchvision_sets_keep_their_official_test_part() -> None:
    data = torchvision(name="CIFAR10", root="data", download=True)
    assert data.input_shape == (3, 4, 5)
    assert (len(data.train), len(data.valid), len(data.test)) == (16, 4, 6)
    assert data.classes == ("airplane", "automobile")
    assert torchvision(name="SVHN", root="data").classes == ("0", "1")


@pytest.mark.usefixtures("torchvision_stand_in")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CIFAR01", "did you mean 'CIFAR10'"),
        ("FakeData", "no data set 'FakeData' with a train and a test part"),
        ("CIFAR10", "from data .*: try 'download: true'"),
        ("Ragged", "must all have one size"),
    ],
)
def test_an_unfit_torchvision_set_is_refused(name: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        torchvision(name=name, root="data")


@pytest.mark.parametrize(
    "broken", ["raise ImportError('No module named torchvision')", "raise RuntimeError('no operator torchvision::nms')"]
)
def test_torchvision_that_cannot_be_imported_is_answered_with_how_to_install(
    broken: str, torchvision_stand_in: Path
) -> None:
    (torchvision_stand_in / "__init__.py").write_text(broken)
    with pytest.raises(DataError, match="pip install torchvision"):
        torchvision(name="CIFAR10", root="data")
