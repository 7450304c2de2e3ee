"""The examples of a split as tensors, where a device reaches them quickly."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evonas.dataset import Dataset, Split

_SHARE = 0.25  # of the free GPU memory that a split may take: several workers can share a GPU
_CHUNK = 4096  # examples that are normalised in float64 at a time


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs, shape (examples, *input_shape), float32 or uint8, and labels, int64, of one split.

    They lie on `device` itself if they fit there, else in pinned memory of the host. Bytes stay bytes, a quarter of
    the memory, shared with the Dataset on a CPU; `mean` and `std` make them normalised floats a batch at a time.
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
            inputs = _tensor(_normalised(split.inputs, mean.double().numpy(), std.double().numpy()))
        labels = _tensor(split.labels)
        if device.type == "cuda":
            if inputs.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]:
                inputs, labels = inputs.to(device), labels.to(device)
            else:
                inputs, labels = inputs.pin_memory(), labels.pin_memory()
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
        if inputs.dtype == torch.uint8:
            inputs = inputs.float().sub_(self.mean).div_(self.std)
        return inputs, labels

    def shuffled(self, batches: int, order: torch.Generator) -> tuple[Tensor, ...]:
        """Return the rows of so many batches, all equally large but for one example, in an order drawn from `order`."""
        return torch.randperm(len(self), generator=order).to(self.inputs.device).tensor_split(batches)

    def first(self, count: int) -> Examples:
        """Return the first `count` examples, sharing memory."""
        return Examples(self.inputs[:count], self.labels[:count], self.mean, self.std, self.device)


def _tensor(array: np.ndarray) -> Tensor:
    """Return a tensor that shares memory with an array, which may be read-only: it is never written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _normalised(inputs: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    normalised = np.empty(inputs.shape, dtype=np.float32)
    for start in range(0, len(inputs), _CHUNK):
        normalised[start : start + _CHUNK] = (inputs[start : start + _CHUNK] - mean) / std
    return normalised
