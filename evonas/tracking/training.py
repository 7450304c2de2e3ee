"""What a watcher of a supernet's training may do: hooks that do nothing by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.supernet_folder import EpochRecord, SupernetHeader


class TrainingTracker:
    """Watches a training. Hooks return at once and never raise, but for `check`, which comes before all."""

    def check(self) -> None:
        """Raise an EvonasError if it cannot do its work."""

    def started(self, header: SupernetHeader, records: Sequence[EpochRecord]) -> None:
        """The training begins, or goes on after these epochs."""

    def step(self, share: float) -> None:
        """So much of the current epoch is done."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done and kept."""

    def closed(self, *, finished: bool) -> None:
        """The training has ended or was interrupted; returns within seconds."""

    def link(self) -> str | None:
        """Return the web address at which a person sees the training, if there is one."""
        return None
