"""The device that a worker computes on: which it is, what it is, and what of its memory is used."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from evonas.errors import ResourceError
from evonas.workers.gpu_memory import CONTEXT_BYTES

if TYPE_CHECKING:
    import torch

DEVICE_VARIABLE = "EVONAS_DEVICE"
"""Environment variable by which a pool tells its workers what they were given: `cpu`, `cuda` or `cuda:N`."""

SHARE_VARIABLE = "EVONAS_DEVICE_SHARE"
"""Environment variable by which a pool tells its workers which part of the device is theirs: `0.25` for one of four."""

Device = Literal["auto", "cpu", "cuda"]

_TOO_LITTLE = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "ALLOC_FAILED",  # cuBLAS and cuDNN
    "ALLOCATION_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # how cuBLAS and cuDNN say that a full device has no room for their handle
    "CUDNN_STATUS_NOT_INITIALIZED",
)


def choose_device(wanted: Device) -> torch.device:
    """Return the device to use: "auto" is what the pool gave to this worker, and outside a pool CUDA if there is one.

    Raises ResourceError where CUDA is wanted and the worker has none.
    """
    import torch

    given = os.environ.get(DEVICE_VARIABLE, "")
    if wanted == "cpu" or (wanted == "auto" and given == "cpu"):
        return torch.device("cpu")
    if wanted == "auto" and not given:
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if given == "cpu":
        raise ResourceError(
            "'device: cuda' needs a GPU, and the pool gave this worker none: give workers GPUs, or use auto"
        )
    if not torch.cuda.is_available():
        source = f"{DEVICE_VARIABLE}={given}" if given else "'device: cuda'"
        raise ResourceError(
            f"{source} needs a GPU, and torch {torch.__version__} finds none: use 'device: auto' or 'cpu', or install "
            f"the driver and a CUDA build of torch"
        )
    return torch.device(given or "cuda:0")


def device_share() -> float:
    """Return the part of the device that the pool gave to this worker: 1 without a pool, or on a device of its own."""
    try:
        share = float(os.environ.get(SHARE_VARIABLE, "1"))
    except ValueError:
        return 1.0
    return share if 0 < share <= 1 else 1.0


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A GPU as its driver names it; `uuid` is the same in all processes, whatever number they know it by.

    `available_bytes` is what others leave: what is free, and this process's own context.
    """

    name: str
    uuid: str
    total_bytes: int
    available_bytes: int
    capability: str


def device_facts(device: str = "cuda:0") -> DeviceFacts | None:
    """Return what is known of a device, None for the CPU; makes the process's CUDA context if there is none."""
    if not device.startswith("cuda"):
        return None
    import torch

    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    return DeviceFacts(
        name=properties.name,
        uuid=str(properties.uuid),
        total_bytes=total,
        available_bytes=min(total, free + CONTEXT_BYTES),
        capability=f"{properties.major}.{properties.minor}",
    )


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What an evaluation took at its peak, and what the worker holds also without it (CUDA context, resident data)."""

    peak_bytes: int
    standing_bytes: int


class MemoryMeter:
    """Measures the device memory of what runs inside `with MemoryMeter(device) as meter`, see `meter.use` afterwards.

    Counted is what torch's allocator reserves, not what tensors occupy of it: nobody else can have it. Blocks that are
    free afterwards are given back, because an idle worker that keeps them takes them from those that share its device;
    that costs milliseconds, and an evaluation seconds. `use` is None on a CPU, and where torch has not used the device.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._allocated_before = 0
        self.use: MemoryUse | None = None

    def __enter__(self) -> MemoryMeter:
        if self._cuda is not None:
            self._allocated_before = self._cuda.memory_allocated(self._device)
            self._cuda.reset_peak_memory_stats(self._device)
        return self

    def __exit__(self, *_: object) -> None:
        if (cuda := self._cuda) is None:
            return
        peak = cuda.max_memory_reserved(self._device)
        if cuda.memory_allocated(self._device) > self._allocated_before:
            gc.collect()  # data that came to stay or, after a failure, cycles that hold tensors
        cuda.empty_cache()
        standing = cuda.memory_reserved(self._device)
        self.use = MemoryUse(peak - standing, standing + CONTEXT_BYTES)

    @property
    def _cuda(self) -> ModuleType | None:
        """torch.cuda once somebody has used it: measuring neither imports nor initialises it."""
        torch = sys.modules.get("torch")
        if torch is None or not self._device.startswith("cuda"):
            return None
        cuda: ModuleType = torch.cuda
        return cuda if cuda.is_initialized() else None


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises when a device or the host has too little memory, a RuntimeError, into MemoryError.

    What the failed code had allocated is given back: its frames, which the traceback keeps, are emptied first.
    """
    import torch

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(sign in str(error) for sign in _TOO_LITTLE):
            raise
        traceback.clear_frames(error.__traceback__)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        raise MemoryError(str(error)) from error
