"""Training a supernet in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from evonas.supernet_folder import EpochRecord, SupernetHeader
from evonas.supernet_trainer import SupernetTrainer
from evonas.workers.devices import choose_device, memory_errors

if TYPE_CHECKING:
    from evonas.workers.supernets.parts import Parts


class LocalTrainer(SupernetTrainer):
    """Trains on one device, with `cpus` torch threads."""

    _parts: Parts | None = None

    @memory_errors()
    def check(self) -> None:
        """Build all parts, and try two examples."""
        import torch

        from evonas.workers.supernets.parts import Parts

        torch.set_num_threads(self.experiment.cpus)
        self._parts = Parts.of(self.experiment, self.data, choose_device(self.experiment.device))

    @memory_errors()
    def train(
        self,
        folder: Path,
        header: SupernetHeader,
        after_epoch: Callable[[EpochRecord], None],
        after_step: Callable[[float], None],
    ) -> None:
        """Train from where the folder's checkpoint is."""
        from evonas.workers.supernets.epochs import train_in

        if self._parts is None:
            self.check()
        assert self._parts is not None
        train_in(folder, header, self._parts, after_epoch, after_step)
