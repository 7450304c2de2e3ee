"""Weights come back as they were or not at all, and nobody fails for want of them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from evonas.workers.weight_store import WeightStore

TENSORS = {
    "weight": torch.arange(12.0).reshape(3, 4).T,  # not contiguous
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "empty": torch.zeros(0, 3),
}
FACTS = {"epoch": "3", "of": "whom it may concern"}


def kept(folder: Path, key: str = "a key: [1, 2]") -> tuple[WeightStore, Path]:
    store = WeightStore(folder / "weights")
    store.save(key, TENSORS, FACTS)
    (file,) = store.folder.iterdir()
    return store, file


def test_what_is_kept_comes_back_to_the_bit(tmp_path: Path) -> None:
    kept(tmp_path)
    tensors, facts = WeightStore(tmp_path / "weights").load("a key: [1, 2]") or ({}, {})
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    tied = torch.ones(3)
    store = WeightStore(tmp_path)
    store.save("tied", {"a": tied, "b": tied, "part": tied[1:]}, {})
    tensors, _ = store.load("tied") or ({}, {})
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"a": [1] * 3, "b": [1] * 3, "part": [1] * 2}


def test_a_key_is_replaced_and_forgotten_and_others_stay(tmp_path: Path) -> None:
    store, _ = kept(tmp_path)
    store.save("other", {"x": torch.ones(1)}, {})
    store.save("other", {"x": torch.zeros(1)}, {"epoch": "4"})
    assert store.load("other") == ({"x": torch.zeros(1)}, {"epoch": "4"})
    store.discard("other")
    store.discard("never there")
    assert store.load("other") is None
    assert store.load("a key: [1, 2]") is not None
    assert len(list(store.folder.iterdir())) == 1, "and no draft is left"


def test_the_draft_of_who_was_killed_goes_when_its_key_is_saved_again(tmp_path: Path) -> None:
    store, file = kept(tmp_path)
    abandoned, new, other = (store.folder / f".{stem}" for stem in (f"{file.stem}.0a", f"{file.stem}.1b", "another.0a"))
    for draft in (abandoned, new, other):
        draft.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    store.save("a key: [1, 2]", TENSORS, FACTS)
    assert set(store.folder.iterdir()) == {file, new, other}, "who writes at this moment is let be"


def test_a_torn_file_is_a_missing_one_wherever_it_is_torn(tmp_path: Path) -> None:
    store, file = kept(tmp_path)
    whole = file.read_bytes()
    for cut in range(0, len(whole), 7):
        file.write_bytes(whole[:cut])
        assert store.load("a key: [1, 2]") is None, f"cut at {cut}"
        file.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        assert store.load("a key: [1, 2]") is None or not any(whole[cut:]), f"zeros from {cut}"
    file.write_bytes(whole)
    assert store.load("a key: [1, 2]") is not None


def test_a_file_of_another_key_is_no_answer(tmp_path: Path) -> None:
    store, file = kept(tmp_path)
    store.save("other", {"x": torch.ones(1)}, {})
    file.replace(next(path for path in store.folder.iterdir() if path != file))
    assert store.load("other") is None


def test_without_a_folder_around_it_nothing_is_kept_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = WeightStore(tmp_path / "not shared here" / "weights")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            store.save("key", {"x": Tensor([1.0])}, {})
            assert store.load("key") is None
            store.discard("key")
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        f"weights cannot be kept in {store.folder} ([Errno 2] No such file or directory"
    ]


def test_who_must_know_that_it_is_kept_is_told_if_it_is_not(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "weights")
    store.keep("a key", TENSORS, FACTS)
    assert store.load("a key") is not None
    with pytest.raises(FileNotFoundError):
        WeightStore(tmp_path / "nobody's" / "weights").keep("a key", TENSORS, FACTS)
