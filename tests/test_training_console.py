"""A supernet's training on the terminal: it outlives whoever reads it."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context

from rich.console import Console

from evonas.supernet_folder import EpochRecord
from evonas.tracking.training_console import TrainingConsole


def test_a_log_that_nobody_reads_any_more_stops_no_training() -> None:
    def training() -> None:
        read, write = os.pipe()
        os.close(read)
        sys.stdout = os.fdopen(write, "w")
        tracker = TrainingConsole(Console(file=sys.stdout), epochs=2)
        for epoch in (1, 2):
            tracker.epoch(EpochRecord(epoch, 0.5, 0.1, {}, 1.0))
        os._exit(0)

    process = get_context("fork").Process(target=training)
    process.start()
    process.join(300)
    assert process.exitcode == 0
