"""Seeds depend on the run's seed and on names, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from evonas.seeds import derive_seed, generator


def test_seeds_are_the_same_in_every_process() -> None:
    program = "from evonas.seeds import derive_seed; print(derive_seed(3, 'evaluation', [0, 2, 1]))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive_seed(3, "evaluation", [0, 2, 1]) == 150461930, "and in every version"


def test_seeds_differ_by_run_purpose_and_number() -> None:
    seeds = {derive_seed(run, name, number) for run in range(10) for name in ("ask", "survive") for number in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert derive_seed(1, 11) != derive_seed(11, 1)
    assert derive_seed(1, "a", "b") != derive_seed(1, "ab")


def test_generators_are_fresh_and_leave_the_global_one_alone() -> None:
    np.random.seed(0)
    expected = np.random.RandomState(0).random()
    assert generator(0, "ask", 1).random() == generator(0, "ask", 1).random() != generator(0, "ask", 2).random()
    assert np.random.random() == expected
