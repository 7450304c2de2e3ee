"""How much GPU memory a candidate will take, and which device has room for it: arithmetic, without torch or Ray."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from evonas.errors import require

MIB = 2**20
CONTEXT_BYTES = 600 * MIB
"""What a process takes on a device outside torch's allocator (driver context, kernels): 0.4 to 0.6 GB on current cards.

It counts once a process, working or idle, and so belongs to a device's standing bytes and not to a candidate.
"""
WORKSPACE_BYTES = 64 * MIB
"""What the libraries take beside the tensors (cuBLAS workspaces, convolution scratch), where nothing was observed."""
RESERVE = 0.08
"""The share of a device that is never planned with: fragments, and predictions that are a little low."""


def training_bytes(
    params: float,
    activations: int,
    *,
    batch_size: int,
    example_elements: int,
    half_precision: bool,
    moments: int,
) -> int:
    """Return the bytes that training a network takes on a GPU, before any observation corrects it.

    Weights, gradients and the `moments` that the optimizer keeps of each weight are float32; autocast adds a copy of
    the weights at half precision. `activations` are what the forward pass keeps of an example (2 bytes each with
    autocast, else 4), and gradients of the last few tensors, never all at once, are left to the correction. A batch's
    inputs, `example_elements` each, lie there three times: as they came, normalised, augmented. The process's CUDA
    context is not in it, see CONTEXT_BYTES.
    """
    a_parameter = 4 + 4 + 4 * moments + 2 * half_precision
    an_example = (2 if half_precision else 4) * activations + 3 * 4 * example_elements
    return WORKSPACE_BYTES + math.ceil(params * a_parameter) + batch_size * an_example


class MemoryModel:
    """Predicts the peak of a candidate: its base, what is known from arithmetic, times a factor that is observed.

    The factor is the largest ratio of peak to base that was seen: a higher one is taken over at once, and towards lower
    ones it falls by a twentieth of the distance an observation, so that one odd candidate is not paid for by all that
    follow. An out-of-memory raises it by half. A `margin` comes on top: equal trainings differ by how the allocator
    cuts its blocks. A candidate without a base is taken for as large as the largest that was observed, and for unknown
    (None) until then. The same observations in the same order give the same predictions.
    """

    _FALL = 0.05
    _OUT_OF_MEMORY = 1.5

    def __init__(self, *, factor: float = 1.5, margin: float = 1.1) -> None:
        require("factor", factor, 0 < factor < math.inf, "above 0")
        require("margin", margin, 1 <= margin < math.inf, "1 or more")
        self.factor = factor
        self._margin = margin
        self._largest: float | None = None

    def predict(self, base: int | None) -> int | None:
        """Return the bytes to plan with, or None where nothing is known: then run the candidate alone."""
        expected = self._largest if base is None else base * self.factor
        return None if expected is None else math.ceil(expected * self._margin)

    def observe(self, base: int | None, peak: int) -> None:
        """Learn that a candidate of this base has taken `peak` bytes."""
        self._largest = max(float(peak), self._largest or 0.0)
        if base:
            ratio = peak / base
            self.factor = max(ratio, self.factor - self._FALL * (self.factor - ratio))

    def out_of_memory(self, base: int | None) -> None:
        """Learn that a candidate of this base, beside others, found too little memory."""
        if base is None:
            self._largest = None if self._largest is None else self._largest * self._OUT_OF_MEMORY
        else:
            self.factor *= self._OUT_OF_MEMORY


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: what evonas may use of its memory, and how many workers share it.

    `total_bytes` is all of it or, where others use it too, what was free before the workers came. `standing_bytes` is
    what a worker holds also when idle: context, resident data. It is None until a worker has told it.
    """

    total_bytes: int
    slots: int
    standing_bytes: int | None = None

    @property
    def capacity(self) -> int:
        """The bytes that candidates may take together."""
        standing = CONTEXT_BYTES if self.standing_bytes is None else self.standing_bytes
        return max(0, int(self.total_bytes * (1 - RESERVE)) - self.slots * standing)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a candidate runs, with how many bytes (0 when nothing is known), and whether nothing else may run there."""

    device: str
    held: int
    exclusive: bool


class Packing:
    """The ledger of what runs on which device.

    A candidate goes to the device with the fewest candidates and then the most free bytes: candidates on one device
    slow each other down, so work is spread before it is packed. The candidates on a device never add up to more than
    its capacity. One that needs more than any device has, or an unknown amount, or that must be `alone`, waits for an
    empty device and has it to itself; of devices that are all too small it takes a largest one.

    A device whose standing bytes are unknown runs one candidate at a time, the first of which makes them known.

    Small candidates cannot keep a large one waiting for ever: the first candidate that is refused, though a device has
    a free slot, claims the device that holds least; nothing else is placed there until it has run empty enough. There
    is one claim at a time, so candidates must be offered in the order in which they came.
    """

    def __init__(self, devices: Mapping[str, Device] | None = None) -> None:
        self._devices = dict(devices or {})
        self._places: dict[int, _Place] = {}
        self._claim: tuple[int, str] | None = None

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices by name."""
        return self._devices

    def join(self, name: str, device: Device) -> None:
        """Add a device, or replace what is known of one; what runs there stays."""
        self._devices[name] = device

    def leave(self, name: str) -> None:
        """Forget a device and what ran there."""
        del self._devices[name]
        self._places = {candidate: place for candidate, place in self._places.items() if place.device != name}
        if self._claim is not None and self._claim[1] == name:
            self._claim = None

    def stands(self, name: str, standing_bytes: int) -> None:
        """Learn what an idle worker holds on a device; the most that any has told counts."""
        known = self._devices[name]
        highest = max(standing_bytes, known.standing_bytes or 0)
        self._devices[name] = Device(known.total_bytes, known.slots, highest)

    def running(self, name: str) -> list[int]:
        """Return the candidates that are on a device."""
        return [candidate for candidate, place in self._places.items() if place.device == name]

    def place(
        self, candidate: int, needed: int | None, *, alone: bool = False, among: Collection[str] | None = None
    ) -> str | None:
        """Put a candidate on a device and return its name; None: it has to wait.

        `needed` is its predicted bytes, None if unknown. `among` limits the choice to devices that have an idle worker.
        """
        assert candidate not in self._places, f"candidate {candidate} is running already"
        eligible = self._eligible(needed)
        alone = alone or needed is None or any(needed > self._devices[name].capacity for name in eligible)
        if self._claim is not None and self._claim[0] == candidate and self._claim[1] not in eligible:
            self._claim = None  # what is known of the device or of the candidate has changed
        claimed = self._claim[1] if self._claim is not None and self._claim[0] != candidate else None
        possible = [
            name
            for name in eligible
            if name != claimed and (among is None or name in among) and self._has_room(name, needed or 0, alone)
        ]
        if possible:
            chosen = min(possible, key=lambda name: (len(self.running(name)), -self._free(name), name))
            self._places[candidate] = _Place(chosen, needed or 0, alone)
            if self._claim is not None and self._claim[0] == candidate:
                self._claim = None
            return chosen
        slots_free = [name for name in eligible if len(self.running(name)) < self._devices[name].slots]
        if self._claim is None and slots_free:
            self._claim = candidate, max(eligible, key=lambda name: (self._free(name), name))
        return None

    def release(self, candidate: int) -> None:
        """Take a candidate off its device, or out of the queue; one that is not known does not matter."""
        self._places.pop(candidate, None)
        if self._claim is not None and self._claim[0] == candidate:
            self._claim = None

    def _eligible(self, needed: int | None) -> list[str]:
        """Return the devices that are large enough or, if there is none, the largest."""
        if needed is None:
            return list(self._devices)
        largest = max((device.capacity for device in self._devices.values()), default=0)
        return [name for name, device in self._devices.items() if device.capacity >= min(needed, largest)]

    def _has_room(self, name: str, needed: int, alone: bool) -> bool:
        here = [place for place in self._places.values() if place.device == name]
        device = self._devices[name]
        if not here:
            return True
        if alone or device.standing_bytes is None or any(place.exclusive for place in here):
            return False
        return len(here) < device.slots and needed <= self._free(name)

    def _free(self, name: str) -> int:
        held = sum(place.held for place in self._places.values() if place.device == name)
        return self._devices[name].capacity - held
