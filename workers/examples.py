"""The examples of a split as tensors, where a device reaches them quickly."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from evonas.dataset import Dataset, Split
from evonas.workers.devices import device_share

_SHARE = 0.25  # of the worker's part of a GPU's memory that a split may take: networks need the rest
_CHUNK = 4096  # examples that are normalised in float64 at a time

_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs, shape (examples, *input_shape), float32 or uint8, and labels, int64, of one split.

    They lie on `device` itself if they fit there, else on the host, from where each batch travels through pinned memory
    while the one before is trained on. Bytes stay bytes, a quarter of the memory, shared with the Dataset on a CPU;
    `mean` and `std` make them normalised floats a batch at a time.

    What fits does not depend on what is free at the moment: all workers of a GPU, each with its own copy, decide alike.
    """

    inputs: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    device: torch.device

    @classmethod
    def of(cls, data: Dataset, split: Split, device: torch.device) -> Examples:
        """Return a split of `data`, normalised by its training split, for use on `device`."""
        mean, std = (_tensor(value.reshape(-1, *[1] * (split.inputs.ndim - 2))) for value in data.normalisation())
        if split.inputs.dtype == np.uint8:
            inputs = _tensor(np.ascontiguousarray(split.inputs))
        else:
            inputs = _normalised(split.inputs, mean.double().numpy(), std.double().numpy())
        labels = _tensor(np.ascontiguousarray(split.labels))
        if device.type == "cuda" and fits(inputs.nbytes, torch.cuda.mem_get_info(device)[1], device_share()):
            inputs, labels = inputs.to(device), labels.to(device)
        return cls(inputs, labels, mean.to(device), std.to(device), device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return inputs, float32 and normalised, and labels of these rows, on the device.

        `rows` are indices on the device of `inputs`, see `shuffled`.
        """
        inputs, labels = self.inputs[rows], self.labels[rows]
        if inputs.device != self.device:
            inputs, labels = (part.pin_memory().to(self.device, non_blocking=True) for part in (inputs, labels))
        return self._normalise(inputs), labels

    def batches(self, batches: Iterable[Tensor | slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of these rows, one after the other; from the host, the next is on its way meanwhile."""
        if self.inputs.device == self.device:
            return map(self.batch, batches)
        return self._transferred(batches)

    def shuffled(self, batches: int, order: torch.Generator) -> tuple[Tensor, ...]:
        """Return the rows of so many batches, all equally large but for one example, in an order drawn from `order`."""
        return torch.randperm(len(self), generator=order).to(self.inputs.device).tensor_split(batches)

    def first(self, count: int) -> Examples:
        """Return the first `count` examples, sharing memory."""
        return Examples(self.inputs[:count], self.labels[:count], self.mean, self.std, self.device)

    def _normalise(self, inputs: Tensor) -> Tensor:
        return inputs.float().sub_(self.mean).div_(self.std) if inputs.dtype == torch.uint8 else inputs

    def _transferred(self, batches: Iterable[Tensor | slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """Send batches on a stream of their own, so that a copy does not wait for the step before it.

        torch's pinned memory is not used again before the copies from it are done; on the device, `record_stream` keeps
        a batch's memory until the steps that read it are done.
        """
        copying = _copy_stream(self.device)

        def send(rows: Tensor | slice) -> tuple[Tensor, Tensor]:
            with torch.cuda.stream(copying):
                inputs, labels = (
                    _pinned(part, rows).to(self.device, non_blocking=True) for part in (self.inputs, self.labels)
                )
            return inputs, labels

        def arrived(sent: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            training = torch.cuda.current_stream(self.device)
            training.wait_stream(copying)
            for part in sent:
                part.record_stream(training)
            return self._normalise(sent[0]), sent[1]

        return one_ahead(batches, send, arrived)


def fits(split_bytes: int, device_bytes: int, share: float) -> bool:
    """Return whether a split may stay on a device of which the worker has this share."""
    return split_bytes <= _SHARE * share * device_bytes


def one_ahead(
    items: Iterable[_Item], send: Callable[[_Item], _Sent], arrived: Callable[[_Sent], _Sent]
) -> Iterator[_Sent]:
    """Yield what `arrived` makes of each item that was sent; the next one is sent before the consumer gets this one.

    Each is awaited before the next is sent: who waits for a stream waits for all that was sent on it.
    """
    waiting: list[_Sent] = []
    for item in items:
        ready = [arrived(sent) for sent in waiting]
        waiting = [send(item)]
        yield from ready
    yield from map(arrived, waiting)


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream for copies: memory that was used on a stream is used again on that stream only."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _pinned(part: Tensor, rows: Tensor | slice) -> Tensor:
    """Return these rows in pinned memory, gathered straight into it."""
    if isinstance(rows, slice):
        return part[rows].pin_memory()
    gathered = torch.empty(len(rows), *part.shape[1:], dtype=part.dtype, pin_memory=True)
    return torch.index_select(part, 0, rows, out=gathered)


def _tensor(array: np.ndarray) -> Tensor:
    """Return a tensor that shares memory with a contiguous array, which may be read-only: it is never written to.

    Its strides are those of its shape. numpy leaves any stride to an axis of length one, such as the channel of a grey
    image, and torch takes some of them for channels-last, whose convolutions differ in the last bits.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array.reshape(-1)).view(array.shape)


def _normalised(inputs: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Tensor:
    """Return normalised inputs, float32, in torch's own memory.

    torch aligns what it allocates, and numpy does not always: how a batch that is a slice lies in memory decides the
    last bits of what is computed from it.
    """
    normalised = torch.empty(inputs.shape, dtype=torch.float32)
    for start in range(0, len(inputs), _CHUNK):
        normalised.numpy()[start : start + _CHUNK] = (inputs[start : start + _CHUNK] - mean) / std
    return normalised
