"""Foreign pickles: plain data is read as it is, and nothing in them runs."""

from __future__ import annotations

import functools
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from malicious import Command, making

from evonas import restricted_pickle
from evonas.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

PLAIN = {
    "text": "ä\n",
    "numbers": (1, -(2**80), 0.5, 1 + 2j, True, None),
    "bytes": [b"\x00\xff", b"", bytearray(b"x")],
    "nested": OrderedDict(b={"set": {1, 2}, "frozen": frozenset("ab")}, a=[]),
    7: {("cifar10", 888): {"ori-test@199": np.float64(93.25), "count": np.int64(3)}},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read_as_it_was_written(protocol: int) -> None:
    read = _load(pickle.dumps(PLAIN, protocol=protocol))
    assert read == PLAIN
    assert isinstance(read, dict)
    assert list(read["nested"]) == ["b", "a"]
    numbers = read[7]["cifar10", 888]
    assert (type(numbers["ori-test@199"]), type(numbers["count"])) == (float, int)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.array([1, -2], dtype=">i2"),
        np.array([True, False]),
        np.array(["ab", "c"]),
        np.zeros((0, 3), dtype="f4"),
    ],
)
def test_arrays_become_lists(array: np.ndarray, protocol: int) -> None:
    assert _load(pickle.dumps({"array": array}, protocol=protocol)) == {"array": array.tolist()}


@pytest.mark.parametrize("array", [np.array([{1: 2}, None]), np.zeros(2, dtype="f4,O")])
def test_arrays_of_objects_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError, match="arrays hold numbers or texts, not elements of type"):
        _load(pickle.dumps(array))


def test_names_of_older_numpys_are_known() -> None:
    older = pickle.dumps(np.float64(1.5), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert _load(older) == 1.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_command_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    pickled = making(marker, protocol)
    with pytest.raises(DataError, match=rf"^cells\.pickle asks for {os.name}\.system, which is no plain data"):
        _load(pickled)
    assert not marker.exists()
    pickle.loads(pickled)
    assert marker.exists(), "the pickle must be one that does run a command, or the test shows nothing"


@pytest.mark.parametrize(
    ("loaded", "named"),
    [
        (eval, "builtins.eval"),
        (getattr, "builtins.getattr"),
        (__import__, "builtins.__import__"),
        (functools.partial, "functools.partial"),
        (np.load, "numpy.load"),
        (Command, "malicious.Command"),
        (restricted_pickle.load, "evonas.restricted_pickle.load"),
    ],
)
def test_every_other_name_is_refused(loaded: object, named: str) -> None:
    with pytest.raises(DataError, match=f"asks for {named}, which is no plain data"):
        _load(pickle.dumps({"list": [1, {"deep": loaded}]}))


def test_attributes_of_plain_classes_are_refused() -> None:
    """Protocol 4 can name an attribute by a path of dots, and reach everything from there."""
    dotted = b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93."
    assert pickle.loads(dotted) == set.__init__
    with pytest.raises(DataError, match=r"asks for builtins\.set\.__init__"):
        _load(dotted)


def test_stand_ins_are_called_in_place_of_names() -> None:
    read = restricted_pickle.load(
        io.BytesIO(pickle.dumps([Command("false")])), "here", {(os.name, "system"): lambda command: f"not {command}"}
    )
    assert read == ["not false"]


def test_references_to_what_is_stored_elsewhere_are_none() -> None:
    class Storing(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "elsewhere" if obj == "weights" else None

    stream = io.BytesIO()
    Storing(stream).dump(["weights", 1])
    assert _load(stream.getvalue()) == [None, 1]


def test_damaged_pickles_are_refused_wherever_they_end() -> None:
    whole = pickle.dumps(PLAIN)
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(DataError, match=r"cells\.pickle is no pickle, or is damaged or cut short: get it again"):
            _load(whole[:end])


def test_other_files_are_refused() -> None:
    for other in (b"PK\x03\x04rest", b"a,b\n1,2\n", b"\x00" * 100, b"\x28\xb5\x2f\xfd" * 9):
        with pytest.raises(DataError, match=r"cells\.pickle"):
            _load(other)


def _load(pickled: bytes) -> Any:
    return restricted_pickle.load(io.BytesIO(pickled), "cells.pickle")
