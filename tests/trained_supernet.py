"""A supernet that was trained for seconds, in a folder as `evonas supernet` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from evonas.dataset import Dataset
from evonas.spaces.cell201 import Cell201
from evonas.spaces.cell201_supernet import Cell201Supernet
from evonas.supernet_folder import WEIGHTS, SupernetHeader
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets import files
from evonas.workers.supernets.single_path import SinglePath
from evonas.workers.supernets.training import Training
from evonas.workers.training import seeded

SPACE_OPTIONS: dict[str, Any] = {"stem_channels": 4, "cells_per_stage": 1, "stages": 2, "input_shape": [1, 8, 8]}
SPACE = Cell201(**SPACE_OPTIONS)
DATA = digits(train_size=200)
CONFIG: dict[str, Any] = {
    "seed": 0,
    "space": {"use": "evonas.spaces.cell201:Cell201", **SPACE_OPTIONS},
    "data": {"use": "evonas.workers.datasets:digits", "train_size": 200},
    "supernet": {"use": "evonas.spaces.cell201_supernet:Cell201Supernet"},
    "method": {"use": "evonas.workers.supernets.single_path:SinglePath"},
}


def train_supernet(folder: Path, epochs: int = 1, data: Dataset = DATA, **changed: Any) -> Path:
    """Train on digits, write the folder, and return it; `changed` is what its header says differently."""
    cpu = torch.device("cpu")
    with seeded(0, cpu):
        supernet = Cell201Supernet(SPACE)
    recipe = Recipe(epochs=epochs, batch_size=50, learning_rate=0.1)
    training = Training(supernet, SinglePath(SPACE, 0), Examples.of(data, data.train, cpu), recipe, 0)
    for _ in range(epochs):
        training.epoch()
    write_supernet(folder, training.trained(), data, **changed)
    return folder


def write_supernet(folder: Path, arrays: Any, data: Dataset = DATA, **changed: Any) -> None:
    """Write arrays as a supernet's folder."""
    facts: dict[str, Any] = {"config_hash": "", "versions": {}, "created": "", "data_fingerprint": data.fingerprint()}
    header = SupernetHeader(**{"name": "digits", "config": CONFIG, **facts, **changed})
    folder.mkdir(exist_ok=True)
    files.write(folder / WEIGHTS, arrays, {"header": header.plain()})
