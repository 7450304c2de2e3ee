"""TFRecord framing and protocol buffers, against the library that writes them and published check values."""

from __future__ import annotations

import io

import pytest
from google.protobuf import struct_pb2, type_pb2
from tfrecord_files import framed

from evonas.convert.tfrecord import fields, masked_crc32c, records
from evonas.errors import DataError


def test_checksum_is_crc32c() -> None:
    """The check value of CRC-32C (RFC 3720) is 0xE3069283; the mask is a rotation by 15 bits and an offset."""
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def test_a_record_of_tensorboard_is_read() -> None:
    """What the RecordWriter of tensorboardX writes for b"hello"."""
    written = bytes.fromhex("0500000000000000 eab2043e 68656c6c6f bb1f1c19")
    assert framed(b"hello") == written
    assert list(records(io.BytesIO(written), "x")) == [b"hello"]


def test_records_are_read_in_order() -> None:
    contents = [b"", b"a", b"\x00" * 70_000, b"last"]
    stream = io.BytesIO(b"".join(map(framed, contents)))
    assert list(records(stream, "x")) == contents
    assert list(records(io.BytesIO(), "x")) == []


@pytest.mark.parametrize("end", [1, 11, 12, 13, 20])
def test_files_cut_short_are_refused(end: int) -> None:
    stream = io.BytesIO(framed(b"first") + framed(b"second")[:end])
    with pytest.raises(DataError, match=r"table\.tfrecord is (damaged or )?cut short (at|in) record 2: get it again"):
        list(records(stream, "table.tfrecord"))


def test_other_files_are_refused() -> None:
    for other in (b"PK\x03\x04" * 9, b"a,b\n" * 9, b"short"):
        with pytest.raises(DataError, match=r"x is no TFRecord file"):
            list(records(io.BytesIO(other), "x"))


def test_fields_are_those_that_protobuf_writes() -> None:
    message = type_pb2.Field(number=300, name="ä" * 200, json_name="x")
    message.options.add(name="first")
    message.options.add(name="second")
    read = fields(message.SerializeToString())
    assert read[3] == [300]
    assert read[4] == [("ä" * 200).encode()]
    assert [fields(option)[1] for option in read[9] if isinstance(option, bytes)] == [[b"first"], [b"second"]]
    assert fields(struct_pb2.Value(number_value=-0.1).SerializeToString()) == {2: [-0.1]}
    assert fields(b"") == {}


@pytest.mark.parametrize("broken", [b"\x08", b"\x08\x80", b"\x12\x05abc", b"\x11\x00", b"\x0b", b"\xff" * 3])
def test_broken_messages_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"protocol buffer"):
        fields(broken)
