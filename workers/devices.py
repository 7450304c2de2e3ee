"""The device that a worker computes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from evonas.errors import ResourceError

if TYPE_CHECKING:
    import torch

DEVICE_VARIABLE = "EVONAS_DEVICE"
"""Environment variable by which a pool tells its workers what they were given: `cpu`, `cuda` or `cuda:N`."""

Device = Literal["auto", "cpu", "cuda"]


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


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises when a device or the host has too little memory, a RuntimeError, into MemoryError."""
    import torch

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
        elif "DefaultCPUAllocator" not in str(error):
            raise
        raise MemoryError(str(error)) from error
