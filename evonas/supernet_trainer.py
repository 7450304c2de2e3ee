"""What trains a supernet: in this process, or in several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from evonas.config_supernet import SupernetExperiment
from evonas.dataset import Dataset
from evonas.supernet_folder import EpochRecord, SupernetHeader


class SupernetTrainer(ABC):
    """Trains the supernet of an experiment on its data, and keeps it in a folder."""

    def __init__(self, experiment: SupernetExperiment, data: Dataset) -> None:
        self.experiment, self.data = experiment, data

    @abstractmethod
    def check(self) -> None:
        """Raise an EvonasError unless all parts fit: the supernet is built, and a few examples go through subnets."""

    @abstractmethod
    def train(
        self,
        folder: Path,
        header: SupernetHeader,
        after_epoch: Callable[[EpochRecord], None],
        after_step: Callable[[float], None],
    ) -> None:
        """Train from where the folder's checkpoint is, and write checkpoints, progress, and at the end the weights.

        `after_epoch` hears of each epoch once it is kept, and `after_step`, where that costs nothing, which share of
        an epoch is done. Raises TrainingStopped at a loss that is not finite, and RunFolderError where the folder
        cannot be written.
        """
