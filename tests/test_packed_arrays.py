"""Arrays in one piece of memory."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from evonas.workers.packed_arrays import PackedArrays

ARRAYS = {
    "weights": np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32),
    "transposed": np.arange(12.0).reshape(3, 4).T,
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False, True]),
}


def test_arrays_come_out_as_they_went_in_aligned_and_read_only() -> None:
    assert PackedArrays.of({}).arrays() == {}
    packed = PackedArrays.of(ARRAYS)
    assert packed.arrays().keys() == ARRAYS.keys()
    for name, array in packed.arrays().items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert (array.dtype, array.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
        assert array.ctypes.data % 64 == 0
        assert array.size == 0 or np.shares_memory(array, packed.memory)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_they_travel_as_one_buffer_that_is_not_copied() -> None:
    packed = PackedArrays.of(ARRAYS)
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(packed, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert len(small) < 1000
    arrived = pickle.loads(small, buffers=[buffer.raw() for buffer in buffers])
    assert arrived.memory.ctypes.data == packed.memory.ctypes.data
    np.testing.assert_array_equal(arrived.arrays()["weights"], ARRAYS["weights"])
