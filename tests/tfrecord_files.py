"""Records of NAS-Bench-101 as its files have them, written with protobuf itself."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from evonas.convert.tfrecord import masked_crc32c


def framed(data: bytes) -> bytes:
    """Return a record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def record(key: str, epochs: int, matrix: str, operations: Sequence[str], metrics: bytes) -> bytes:
    """Return one training of one network."""
    row = [key, epochs, matrix, ",".join(operations), base64.b64encode(metrics).decode()]
    return framed(json.dumps(row).encode())


def metrics(params: int, seconds: float, valid: float, test: float) -> bytes:
    """Return a ModelMetrics whose third evaluation, that at the end, has these numbers."""
    message = _ModelMetrics(trainable_parameters=params, total_time=2 * seconds)
    for epoch in (0.0, 0.5, 1.0):
        at_end = epoch == 1.0
        message.evaluation_data.add(
            current_epoch=108 * epoch,
            training_time=seconds * epoch,
            train_accuracy=1.0,
            validation_accuracy=valid if at_end else 0.1,
            test_accuracy=test if at_end else 0.1,
            checkpoint_path="/path/to/model.ckpt",
        )
    written: bytes = message.SerializeToString()
    return written


def _model_metrics() -> Any:
    """Return the message class of the published model_metrics.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    outer, inner = file.message_type.add(name="ModelMetrics"), file.message_type.add(name="EvaluationData")
    outer.field.add(
        name="evaluation_data",
        number=1,
        label=kinds.LABEL_REPEATED,
        type=kinds.TYPE_MESSAGE,
        type_name=".nasbench.EvaluationData",
    )
    outer.field.add(name="trainable_parameters", number=2, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_INT32)
    outer.field.add(name="total_time", number=3, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_DOUBLE)
    doubles = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(doubles, start=1):
        inner.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_DOUBLE)
    inner.field.add(name="checkpoint_path", number=6, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


_ModelMetrics = _model_metrics()
