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
        if len(header) < 12 or struct.unpack("<I", header[8:])[0] != _masked_crc32c(header[:8]):
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
        value: Field
        match key & 7:
            case 0:
                value, position = _varint(message, position)
            case 1:
                value, position = struct.unpack_from("<d", message, position)[0], position + 8
            case 2:
                length, position = _varint(message, position)
                value, position = message[position : position + length], position + length
            case 5:
                value, position = struct.unpack_from("<f", message, position)[0], position + 4
            case other:
                raise ValueError(f"no protocol buffer has a field of wire type {other}")
        if position > len(message):
            raise ValueError("the protocol buffer is cut short")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("the protocol buffer is cut short")
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_crc_of_byte, range(256)))
