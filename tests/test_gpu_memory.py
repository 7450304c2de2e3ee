"""Predictions that learn, and a ledger that never overfills a device, never shares an exclusive one, starves nobody."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evonas.errors import ConfigError
from evonas.workers.gpu_memory import (
    CONTEXT_BYTES,
    MIB,
    RESERVE,
    WORKSPACE_BYTES,
    Device,
    MemoryModel,
    Packing,
    training_bytes,
)

GIB = 2**30


def plain_bytes(**changed: float) -> int:
    given = {"params": 1e6, "activations": 50_000, "batch_size": 128, "example_elements": 3072} | changed
    return training_bytes(
        given["params"],
        int(given["activations"]),
        batch_size=int(given["batch_size"]),
        example_elements=int(given["example_elements"]),
        half_precision=bool(given.get("half_precision", False)),
        moments=int(given.get("moments", 0)),
    )


def test_bytes_are_weights_gradients_moments_and_what_a_batch_keeps() -> None:
    batch = 128 * (4 * 50_000 + 12 * 3072)
    assert plain_bytes() == WORKSPACE_BYTES + 8_000_000 + batch
    assert plain_bytes(moments=1) == plain_bytes() + 4_000_000
    assert plain_bytes(moments=2) == plain_bytes() + 8_000_000
    assert plain_bytes(half_precision=True) == plain_bytes() + 2_000_000 - 128 * 2 * 50_000
    assert plain_bytes(batch_size=256) == plain_bytes() + batch


# --- the model --------------------------------------------------------------------------------------------------------


def test_a_higher_ratio_is_taken_over_at_once_and_a_lower_one_slowly() -> None:
    model = MemoryModel(factor=1.5, margin=1.0)
    model.observe(1000, 2500)
    assert model.predict(1000) == 2500
    model.observe(1000, 1000)
    assert 2400 < (model.predict(1000) or 0) < 2500
    for _ in range(200):
        model.observe(1000, 1000)
    assert model.predict(1000) in (1000, 1001)


def test_predictions_cover_all_but_the_first_of_growing_ratios() -> None:
    rng = np.random.default_rng(0)
    model, missed = MemoryModel(factor=1.0, margin=1.1), 0
    for _ in range(500):
        base = int(rng.integers(10 * MIB, GIB))
        peak = int(base * rng.uniform(0.9, 1.7))
        missed += (model.predict(base) or 0) < peak
        model.observe(base, peak)
    assert missed < 25


def test_an_out_of_memory_raises_all_predictions_by_half() -> None:
    model = MemoryModel(factor=2.0, margin=1.0)
    model.out_of_memory(1000)
    assert (model.predict(1000), model.predict(10)) == (3000, 30)


def test_what_has_no_base_is_as_large_as_the_largest_seen_and_unknown_before() -> None:
    model = MemoryModel(margin=1.0)
    assert model.predict(None) is None
    model.out_of_memory(None)
    assert model.predict(None) is None
    model.observe(None, 700)
    model.observe(1000, 500)
    assert model.predict(None) == 700
    model.out_of_memory(None)
    assert model.predict(None) == 1050


def test_equal_observations_in_order_give_equal_predictions() -> None:
    def after_some() -> int | None:
        model = MemoryModel()
        for peak in (900, 1700, 1200, 1100):
            model.observe(1000, peak)
        model.out_of_memory(500)
        return model.predict(12345)

    assert after_some() == after_some()


@pytest.mark.parametrize(("options", "told"), [({"factor": 0.0}, "'factor'"), ({"margin": 0.9}, "'margin'")])
def test_numbers_out_of_range_are_refused(options: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        MemoryModel(**options)


# --- the ledger -------------------------------------------------------------------------------------------------------


def device(free: int, slots: int = 4) -> Device:
    """A device on which candidates may take `free` bytes together."""
    made = Device(math.ceil(free / (1 - RESERVE)), slots, standing_bytes=0)
    assert made.capacity == free
    return made


def test_capacity_is_what_reserve_and_every_workers_standing_bytes_leave() -> None:
    unknown, known = Device(80 * GIB, 4), Device(80 * GIB, 4, standing_bytes=2 * GIB)
    assert unknown.capacity == int(80 * GIB * 0.92) - 4 * CONTEXT_BYTES
    assert known.capacity == int(80 * GIB * 0.92) - 8 * GIB
    assert Device(GIB, 8).capacity == 0


def test_candidates_share_a_device_up_to_its_capacity() -> None:
    packing = Packing({"a": device(100)})
    assert [packing.place(number, 40) for number in range(3)] == ["a", "a", None]
    packing.release(0)
    assert packing.place(2, 40) == "a"


def test_slots_limit_how_many_share() -> None:
    packing = Packing({"a": device(100, slots=2)})
    assert [packing.place(number, 1) for number in range(3)] == ["a", "a", None]


def test_work_is_spread_before_it_is_packed() -> None:
    packing = Packing({"a": device(100), "b": device(200)})
    assert [packing.place(number, 10) for number in range(4)] == ["b", "a", "b", "a"]


def test_only_devices_with_an_idle_worker_are_chosen() -> None:
    packing = Packing({"a": device(100), "b": device(100)})
    assert packing.place(0, 10, among=["b"]) == "b"
    assert packing.place(1, 10, among=["b"]) == "b"
    assert packing.place(2, 10, among=[]) is None


def test_alone_waits_for_an_empty_device_and_then_has_it_to_itself() -> None:
    packing = Packing({"a": device(100)})
    assert packing.place(0, 10) == "a"
    assert packing.place(1, 10, alone=True) is None
    packing.release(0)
    assert packing.place(1, 10, alone=True) == "a"
    assert packing.place(2, 10) is None
    packing.release(1)
    assert packing.place(2, 10) == "a"


@pytest.mark.parametrize("needed", [101, None], ids=["too large", "unknown"])
def test_what_is_too_large_or_unknown_runs_alone(needed: int | None) -> None:
    packing = Packing({"a": device(100)})
    assert packing.place(0, needed) == "a"
    assert packing.place(1, 1) is None


def test_what_is_too_large_for_all_takes_a_largest_device_and_what_fits_one_takes_that() -> None:
    devices = {"small": device(50), "large": device(100)}
    assert Packing(devices).place(0, 1000) == "large"
    packing = Packing(devices)
    assert [packing.place(0, 10), packing.place(1, 60), packing.place(2, 60)] == ["large", "large", None]


def test_a_waiting_large_candidate_is_not_overtaken_for_ever() -> None:
    packing = Packing({"a": device(100)})
    assert packing.place(0, 60) == "a"
    assert packing.place(1, 90) is None
    assert packing.place(2, 10) is None, "the device is claimed, though 2 would fit"
    packing.release(0)
    assert packing.place(1, 90) == "a"
    assert packing.place(2, 10) == "a"


def test_a_claim_leaves_the_other_devices_open_and_ends_with_its_candidate() -> None:
    packing = Packing({"a": device(100), "b": device(100)})
    assert [packing.place(0, 60), packing.place(1, 50)] == ["a", "b"]
    assert packing.place(2, 90) is None  # claims b, which holds less
    assert [packing.place(3, 10), packing.place(4, 10), packing.place(5, 10)] == ["a", "a", "a"]
    packing.release(2)
    assert packing.place(6, 10) == "b"


def test_a_device_is_packed_once_its_standing_bytes_are_known() -> None:
    packing = Packing({"a": Device(80 * GIB, 4)})
    assert packing.place(0, GIB) == "a"
    assert packing.place(1, GIB) is None
    packing.stands("a", 3 * GIB)
    assert packing.place(1, GIB) == "a"
    packing.stands("a", GIB)
    assert packing.devices["a"].standing_bytes == 3 * GIB, "the most counts"


def test_a_lost_device_takes_its_candidates_and_its_claim_with_it() -> None:
    packing = Packing({"a": device(100)})
    assert packing.place(0, 60) == "a"
    assert packing.place(1, 60) is None
    packing.leave("a")
    assert packing.place(0, 60) is None
    packing.release(1)  # it was given up meanwhile
    packing.join("b", device(100))
    assert [packing.place(0, 60), packing.place(2, 10)] == ["b", "b"]


def test_a_device_that_comes_back_is_nobodys() -> None:
    packing = Packing({"a": device(100)})
    assert [packing.place(0, 60), packing.place(1, 60)] == ["a", None]
    packing.leave("a")
    packing.join("a", device(100))
    assert packing.place(2, 10) == "a"


def test_a_claim_moves_when_its_device_proves_too_small() -> None:
    packing = Packing({"a": device(100), "b": device(100)})
    assert [packing.place(0, 50), packing.place(1, 60)] == ["a", "b"]
    assert packing.place(2, 90) is None  # claims a
    packing.stands("a", 10)  # 4 workers: 60 are left
    assert packing.place(2, 90) is None  # claims b
    assert packing.place(3, 5) == "a"
    packing.release(1)
    assert packing.place(2, 90) == "b"


@pytest.mark.parametrize("seed", range(30))
def test_random_candidates_all_run_and_never_overfill_or_share_what_is_exclusive(seed: int) -> None:
    """Candidates come, wait in their order, run for a while; sizes and devices at random, some larger than any."""
    rng = np.random.default_rng(seed)
    devices = {
        name: device(int(rng.integers(50, 150)), slots=int(rng.integers(1, 9))) for name in "abc"[: 1 + seed % 3]
    }
    packing = Packing(devices)
    needs = [None if rng.random() < 0.1 else int(rng.integers(1, 170)) for _ in range(120)]
    alone = {number for number in range(120) if rng.random() < 0.1}
    waiting, running = list(range(120)), dict[int, str]()
    for _ in range(10_000):
        for number in waiting[: int(rng.integers(1, 12))]:  # what a pool holds
            if (name := packing.place(number, needs[number], alone=number in alone)) is not None:
                running[number] = name
        waiting = [number for number in waiting if number not in running]
        for name, here in devices.items():
            held = [number for number, place in running.items() if place == name]
            assert sorted(held) == sorted(packing.running(name))
            assert len(held) <= here.slots
            needed = [needs[number] for number in held]
            exclusive = any(
                need is None or need > here.capacity or n in alone for n, need in zip(held, needed, strict=True)
            )
            assert len(held) == 1 if exclusive else sum(need or 0 for need in needed) <= here.capacity
        if not waiting and not running:
            break
        assert running, "somebody waits and nobody runs"
        for number in [number for number in running if rng.random() < 0.3] or list(running)[:1]:
            packing.release(number)
            del running[number]
    assert not waiting
    assert not running


def test_a_stream_of_small_candidates_lets_a_large_one_through() -> None:
    packing, running, large = Packing({"a": device(100)}), [1, 2], 0
    assert [packing.place(number, 30) for number in running] == ["a", "a"]
    for small in range(3, 100):  # one ends, one comes: the device would never run empty
        if packing.place(large, 100) is not None:
            break
        if packing.place(small, 30) is not None:
            running.append(small)
        packing.release(running.pop(0))
    assert packing.running("a") == [large]
    assert running == []


def test_capacities_do_not_grow_with_what_a_worker_holds() -> None:
    capacities = [Device(80 * GIB, 4, standing * GIB).capacity for standing in range(25)]
    assert all(earlier >= later >= 0 for earlier, later in pairwise(capacities))


def test_the_benchmark_says_that_it_needs_a_gpu() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "experiments" / "benchmarks" / "gpu_packing.py"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs a GPU" in done.stderr
    assert done.stdout == ""
