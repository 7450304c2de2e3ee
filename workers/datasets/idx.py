"""The IDX files of MNIST and its successors, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from evonas.errors import DataError

_GZIP = b"\x1f\x8b"
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """Return the array of an IDX file in native byte order; raise DataError if the file is damaged or no IDX file.

    The format (LeCun, Cortes and Burges, the MNIST page): two zero bytes, a type code, the number of axes, the axes'
    lengths as big-endian uint32, then the numbers, big-endian. Whether it is gzipped is read from the content.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"{path} cannot be read ({error}): fetch the file again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES or content[3] == 0:
        raise DataError(f"{path} is no IDX file: it begins with the bytes {content[:4].hex(' ') or '(none)'}")
    dtype, start = np.dtype(_DTYPES[content[2]]), 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path} ends within its header, after {len(content)} bytes: fetch the file again")
    shape = tuple(int(length) for length in np.frombuffer(content[4:start], ">u4"))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"{path} announces the shape {shape}, that is {expected:,} bytes, and holds {len(content):,}: "
            f"fetch the file again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
