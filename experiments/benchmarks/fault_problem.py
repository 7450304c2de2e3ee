"""The digits of `trivial` with an evaluator that takes its time, notes what it does and meets trouble on demand."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Literal

import numpy as np
from trivial import Formula

from evonas.space import Genome, Metrics, SearchSpace

BEGUN, TROUBLES, MENDED = "begun.jsonl", "troubles.jsonl", "mended"
Trouble = Literal["raise", "nan", "hang", "take_memory"]


class Faulty(Formula):
    """The formula after `pause` seconds, for all but a `share` of genomes, which meet `trouble`: if `once`, then only
    the first time; never once the file `mended` is in `folder`. There it notes each beginning, and each trouble.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        folder: str,
        pause: float = 0.03,
        trouble: Trouble | None = None,
        share: float = 0.0,
        once: bool = True,
    ) -> None:
        super().__init__(space, seed)
        self.folder = Path(folder)
        self.pause, self.trouble, self.share, self.once = pause, trouble, share, once

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        self._note(BEGUN, genome)
        time.sleep(self.pause)
        if self._meets_trouble(genome):
            self._note(TROUBLES, genome)
            if self.trouble == "raise":
                raise RuntimeError(f"no layer for {genome}")
            if self.trouble == "nan":
                return {"valid_error": math.nan}
            if self.trouble == "hang":
                time.sleep(3600)
            np.ones(200_000_000)  # 1.6 GB
        return super().measure(genome, budget)

    def _meets_trouble(self, genome: Genome) -> bool:
        digest = hashlib.sha256(bytes(genome)).hexdigest()
        if int(digest[:8], 16) >= self.share * 2**32 or (self.folder / MENDED).exists():
            return False
        try:
            (self.folder / digest[8:24]).touch(exist_ok=not self.once)
        except FileExistsError:
            return False
        return True

    def _note(self, name: str, genome: Genome) -> None:
        with (self.folder / name).open("a") as file:
            file.write(json.dumps({"time": time.time(), "process": os.getpid(), "genome": genome}) + "\n")
