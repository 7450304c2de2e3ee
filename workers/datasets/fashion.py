"""Fashion-MNIST from files on this machine."""

from __future__ import annotations

from pathlib import Path

from evonas.dataset import Dataset
from evonas.errors import DataError
from evonas.workers.datasets.idx import read_idx

FOLDERS = ("/usr/share/datasets/fashion-mnist", "~/.cache/fashion-mnist", "~/.cache/torchvision", "data")
"""Where the files are looked for if no folder is given: the Debian package's folder first."""

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def fashion_mnist(
    *,
    folder: str | None = None,
    valid_fraction: float = 1 / 6,
    train_size: int | None = None,
    split_seed: int = 0,
    shrink: int = 1,
) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 images, 1 x 28 x 28, uint8, 10 classes.

    `folder` holds the four IDX files, plain or .gz, or is a torchvision root. The official 10,000 test images are the
    test split; valid is carved out of the 60,000 others. With `shrink: 2` images are 14 x 14. Nothing is downloaded.
    """
    images, labels, test_images, test_labels = (read_idx(path) for path in _find(folder))
    return Dataset.from_arrays(
        "fashion_mnist",
        images,
        labels,
        classes=CLASSES,
        test=(test_images, test_labels),
        valid_fraction=valid_fraction,
        train_size=train_size,
        split_seed=split_seed,
        shrink=shrink,
    )


def _find(folder: str | None) -> list[Path]:
    roots = [Path(f).expanduser().resolve() for f in ([folder] if folder is not None else FOLDERS)]
    places = [place for root in roots for place in (root, root / "FashionMNIST" / "raw")]
    for place in places:
        found = [path for name in _FILES for path in (place / name, place / f"{name}.gz") if path.is_file()]
        if {path.name.removesuffix(".gz") for path in found} == set(_FILES):
            return [next(path for path in found if path.name.startswith(name)) for name in _FILES]
        if found:
            missing = sorted(set(_FILES) - {path.name.removesuffix(".gz") for path in found})
            raise DataError(f"Fashion-MNIST in {place} is incomplete: {', '.join(missing)} (or .gz) is missing")
    raise DataError(
        f"Fashion-MNIST is not on this machine; looked for {_FILES[0]}[.gz] in {', '.join(map(str, places))}. "
        f"Install the Debian package dataset-fashion-mnist, or fetch the four files from "
        f"https://github.com/zalandoresearch/fashion-mnist and name their folder under 'data': 'folder: /path/to/it'"
    )
