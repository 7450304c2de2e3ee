"""Reads foreign pickles that hold plain data: whatever could run code is refused by its name."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from typing import IO

from evonas.errors import DataError, EvonasError

PLAIN = {
    "builtins": {"set", "frozenset", "complex", "bytes", "bytearray"},
    "collections": {"OrderedDict"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""The names that may be loaded, by module: containers, and how numpy writes arrays and numbers.

Lists, tuples, dictionaries, texts, bytes and numbers need no name.
"""

StandIns = Mapping[tuple[str, str], Callable[..., object]]
"""What is called in place of a name (module, name) that is never loaded."""


def load(stream: IO[bytes], origin: object, stand_ins: StandIns | None = None) -> object:
    """Return what the next pickle of `stream` holds; no class or function is loaded but those of `PLAIN`.

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
        self._stand_ins: StandIns = {("_codecs", "encode"): _bytes_of, **stand_ins}

    def find_class(self, module: str, name: str) -> object:
        """Return what a name stands for, or refuse it."""
        module = _RENAMED.get(module, module)
        if (module, name) in self._stand_ins:
            return self._stand_ins[module, name]
        if name in PLAIN.get(module, ()):
            return getattr(importlib.import_module(module), name)
        raise DataError(
            f"{self._origin} asks for {module}.{name}, which is no plain data and could run code: it is not read. "
            f"Get the official file; if this is it, do not trust where it comes from"
        )

    def persistent_load(self, reference: object) -> None:
        """Return None for what is stored outside the pickle."""
        return


_RENAMED = {
    "__builtin__": "builtins",  # of Python 2, which older protocols write
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}


def _bytes_of(text: str, encoding: str) -> bytes:
    """Return bytes, which older protocols write as a call of `encode`."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are written as latin1, not as {encoding}")
    return text.encode(encoding)
