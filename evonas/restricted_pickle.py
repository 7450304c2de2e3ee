"""Reads foreign pickles that hold plain data: whatever could run code is refused by its name."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO

import numpy as np

from evonas.errors import DataError, EvonasError

PLAIN = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytes"): bytes,
    ("builtins", "bytearray"): bytearray,
    ("collections", "OrderedDict"): OrderedDict,
}
"""What may be loaded, by module and name.

Lists, tuples, dictionaries, texts, bytes and numbers need no name. Arrays and numbers of numpy become lists and numbers
of Python: numpy's own reading of them trusts the file, down to what lies in memory.
"""

StandIns = Mapping[tuple[str, str], Callable[..., object]]
"""What is called in place of a name (module, name) that is never loaded."""


def load(stream: IO[bytes], origin: object, stand_ins: StandIns | None = None) -> object:
    """Return what the next pickle of `stream` holds; no class or function is loaded but `PLAIN`.

    What it refers to as stored elsewhere (torch's storages) is None. Raises DataError, which calls the stream `origin`,
    for any other name in it, and for what is no pickle, or damaged, or cut short.
    """
    try:
        return _Restricted(stream, origin, stand_ins or {}).load()
    except (EvonasError, OSError):
        raise
    except Exception as error:  # a damaged pickle can raise anything
        said = f"{type(error).__name__}: {error}"
        raise DataError(f"{origin} is no pickle, or is damaged or cut short: get it again ({said})") from error


class _Restricted(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], origin: object, stand_ins: StandIns) -> None:
        super().__init__(stream)
        self._origin = origin
        self._known = {**PLAIN, **_NUMPY, ("_codecs", "encode"): _bytes_of, **stand_ins}

    def find_class(self, module: str, name: str) -> object:
        """Return what a name stands for, or refuse it."""
        module = _RENAMED.get(module, module)
        if (module, name) in self._known:
            return self._known[module, name]
        raise DataError(
            f"{self._origin} asks for {module}.{name}, which is no plain data and could run code: it is not read. "
            f"Get the official file; if this is it, do not trust where it comes from"
        )

    def persistent_load(self, reference: object) -> None:
        """Return None for what is stored outside the pickle."""
        return


class _DType:
    """The type of an array's elements: numbers and texts of fixed size."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[<>=|]?[biufcSU]\d+", code):
            raise pickle.UnpicklingError(f"arrays hold numbers or texts, not elements of type {code!r}")
        self.numpy = np.dtype(code)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])

    def read(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data, self.numpy)


class _Array(list[object]):
    """An array: made empty, and filled by its state."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _DType, bool, bytes]) -> None:
        _, shape, dtype, fortran, data = state
        self[:] = _filled(data, dtype, shape, "F" if fortran else "C")


def _filled(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> list[object]:
    filled = dtype.read(data).reshape(shape, order="F" if order == "F" else "C").tolist()
    return filled if isinstance(filled, list) else [filled]


def _number(dtype: _DType, data: bytes) -> object:
    (number,) = dtype.read(data).tolist()
    return number


def _bytes_of(text: str, encoding: str) -> bytes:
    """Return bytes, which older protocols write as a call of `encode`."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are written as latin1, not as {encoding}")
    return text.encode(encoding)


_NUMPY: StandIns = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "scalar"): _number,
    ("numpy._core.numeric", "_frombuffer"): _filled,
}

_RENAMED = {
    "__builtin__": "builtins",  # of Python 2, which older protocols write
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}
