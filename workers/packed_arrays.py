"""Arrays packed into one piece of memory, to be shared as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_ALIGNMENT = 64  # bytes, that of torch's own memory, and of what is large in Ray's store


@dataclass(frozen=True, slots=True)
class PackedArrays:
    """Arrays by name in one array of bytes, each at a multiple of 64; `places` tells dtype, shape and first byte.

    How an array lies in memory decides the last bits of what is computed from it: wherever they have travelled, these
    lie alike. They are read-only.
    """

    memory: np.ndarray
    places: Mapping[str, tuple[str, tuple[int, ...], int]]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> PackedArrays:
        """Return copies of the arrays."""
        places, end = {}, 0
        for name, array in arrays.items():
            places[name] = array.dtype.str, array.shape, end
            end += array.nbytes + -array.nbytes % _ALIGNMENT
        room = np.zeros(end + _ALIGNMENT, np.uint8)
        start = -room.ctypes.data % _ALIGNMENT
        packed = cls(room[start : start + end], places)
        for name, view in packed.arrays().items():
            view[...] = arrays[name]
        packed.memory.flags.writeable = False
        return packed

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, which are views."""
        return {
            name: np.ndarray(shape, dtype, self.memory.data, offset)
            for name, (dtype, shape, offset) in self.places.items()
        }
