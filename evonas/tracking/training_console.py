"""A supernet's training on the terminal: a bar, or plain lines in a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evonas.supernet_folder import EpochRecord, SupernetHeader
from evonas.tracking.console import while_read
from evonas.tracking.training import TrainingTracker

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class TrainingConsole(TrainingTracker):
    """Shows epoch, loss, the errors of subnets and the time left; in a log, a line an epoch.

    When nobody reads any more (`evonas supernet ... | head`), it falls silent.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._epochs = console, epochs
        self._progress: Progress | None = None
        self._done = 0

    def started(self, header: SupernetHeader, records: Sequence[EpochRecord]) -> None:
        """Show where the training stands."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._done = len(records)
        if records:
            with while_read(self._console):
                self._console.print(f"resumed after epoch {self._done}", highlight=False)
        if self._console.is_interactive and self._console.file.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.add_task(_words(records[-1], self._epochs) if records else "begins", total=self._epochs)
            self._progress.start()
            self.step(0.0)

    def step(self, share: float) -> None:
        """Move the bar."""
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=self._done + share)

    def epoch(self, record: EpochRecord) -> None:
        """Show what the epoch has come to."""
        self._done = record.epoch
        words = _words(record, self._epochs)
        if self._progress:
            self._progress.update(self._progress.task_ids[0], description=words, completed=record.epoch)
            return
        with while_read(self._console):
            self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    def closed(self, *, finished: bool) -> None:
        """Give the terminal back."""
        if self._progress:
            self._progress.stop()


def _words(record: EpochRecord, epochs: int) -> str:
    named = {
        "smallest": record.valid_errors.get("smallest"),
        "largest": record.valid_errors.get("largest"),
        "random": record.random_error,
    }
    errors = ", ".join(f"{name} {error:.1%}" for name, error in named.items() if error is not None)
    return f"epoch {record.epoch}/{epochs}: loss {record.train_loss:.3f}" + (f", errors: {errors}" if errors else "")
