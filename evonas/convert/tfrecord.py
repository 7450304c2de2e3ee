"""TFRecord files and protocol buffers, as far as NAS-Bench-101 needs them: their framing, read without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from evonas.errors import DataError

Field = int | float | bytes
"""A field's value: a varint, a double, or what has a length (texts, other messages)."""


def records(stream: IO[bytes], origin: object) -> Iterator[bytes]:
    """Yield the records of a TFRecord file.

    A record is its length (8 bytes, little-endian), the masked CRC-32C of the length, the data, the masked CRC-32C of
    the data. The length's is checked, so that a file of another format, or cut short, raises DataError; the data's is
    not, because that would take minutes in Python.
    """
    number = 0
    while header := stream.read(12):
        number += 1
        if len(header) < 12 or struct.unpack("<I", header[8:])[0] != masked_crc32c(header[:8]):
            what = "is no TFRecord file" if number == 1 else f"is damaged or cut short at record {number}"
            raise DataError(f"{origin} {what}: get it again")
        length = struct.unpack("<Q", header[:8])[0]
        data = stream.read(length + 4)
        if len(data) < length + 4:
            raise DataError(f"{origin} is cut short in record {number}: get it again")
        yield data[:-4]


def fields(message: bytes) -> dict[int, list[Field]]:
    """Return the values of a protocol buffer's fields by number, in order; raise ValueError for what is none.

    Varints are unsigned, 8 bytes are a double, 4 bytes a float.
    """
    found: dict[int, list[Field]] = {}
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            found.setdefault(number, []).append(value)
            continue
        if wire_type == _LONG:
            size, position = _varint(message, position)
        elif wire_type in _NUMBERS:
            size = struct.calcsize(_NUMBERS[wire_type])
        else:
            raise ValueError(f"no field of a protocol buffer has the wire type {wire_type}")
        content, position = message[position : position + size], position + size
        if position > len(message):
            raise ValueError(_SHORT)
        read = content if wire_type == _LONG else float(struct.unpack(_NUMBERS[wire_type], content)[0])
        found.setdefault(number, []).append(read)
    return found


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C of data, as TFRecord files write it: rotated by 15 bits, plus an offset."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


_VARINT, _LONG = 0, 2
_NUMBERS = {1: "<d", 5: "<f"}
_SHORT = "the protocol buffer is cut short"


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError(_SHORT)
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_crc_of_byte, range(256)))
