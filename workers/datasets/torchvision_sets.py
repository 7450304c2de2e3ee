"""The labelled image sets of torchvision, if that is installed."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np

from evonas.dataset import Dataset
from evonas.errors import DataError, nearest


def torchvision(
    *,
    name: str,
    root: str,
    download: bool = False,
    valid_fraction: float = 0.2,
    train_size: int | None = None,
    split_seed: int = 0,
    shrink: int = 1,
) -> Dataset:
    """Return the torchvision data set called `name`, for example CIFAR10, from the folder `root`.

    It must have a train and a test part and images of one size. The official test part is the test split; valid is
    carved out of the other. `download` fetches the files if they are not there yet.
    """
    loader = _loader(name)
    inputs, labels, classes = _part(loader, name, root, download, test=False)
    test_inputs, test_labels, _ = _part(loader, name, root, download, test=True)
    return Dataset.from_arrays(
        name,
        inputs,
        labels,
        classes=classes,
        test=(test_inputs, test_labels),
        valid_fraction=valid_fraction,
        train_size=train_size,
        split_seed=split_seed,
        shrink=shrink,
    )


def _loader(name: str) -> Any:
    try:
        module = importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:  # a build for another torch fails to register its operators
        raise DataError(
            f"the data set '{name}' needs torchvision, which cannot be imported ({error}): install the build that fits "
            f"your torch, for example 'pip install torchvision --index-url https://download.pytorch.org/whl/cpu'"
        ) from error
    known = {n: c for n, c in vars(module).items() if inspect.isclass(c) and _divided(c)}
    if name not in known:
        raise DataError(f"torchvision has no data set '{name}' with a train and a test part{nearest(name, known)}")
    return known[name]


def _divided(loader: type) -> bool:
    options = inspect.signature(loader).parameters
    required = {n for n, p in options.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    return required <= {"root"} and not {"train", "split"}.isdisjoint(options) and "download" in options


def _part(loader: Any, name: str, root: str, download: bool, test: bool) -> tuple[np.ndarray, np.ndarray, Any]:
    by_flag = "train" in inspect.signature(loader).parameters
    part = {"train": not test} if by_flag else {"split": "test" if test else "train"}
    try:
        examples = loader(root=root, download=download, **part)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"torchvision cannot load '{name}' from {root} ({error}): try 'download: true'") from error
    images = [np.asarray(image) for image, _ in examples]
    if len(shapes := {image.shape for image in images}) != 1:
        raise DataError(
            f"images must all have one size, and those of '{name}' have {len(shapes)}: resize them to an .npz"
        )
    labels = np.array([int(label) for _, label in examples])
    return np.stack(images), labels, getattr(examples, "classes", None)
