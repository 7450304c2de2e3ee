"""Several workers on a GPU: which of them may start a candidate now, by the memory that it is expected to take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from evonas.evaluation import Candidate
from evonas.workers.devices import DeviceFacts, MemoryUse
from evonas.workers.gpu_memory import CONTEXT_BYTES, Device, MemoryModel, Packing
from evonas.workers.tasks import Task, TaskQueue


class GpuSharing:
    """What RayPool asks where its workers share GPUs: `slots` of them on each, known by the device's uuid.

    `base_bytes` gives what a candidate takes by arithmetic, None if that is unknown. What was observed corrects it.
    """

    def __init__(self, slots: int, base_bytes: Callable[[Candidate], int | None]) -> None:
        self._slots = slots
        self._base_bytes = base_bytes
        self._model = MemoryModel()
        self._packing = Packing()
        self._workers: Counter[str] = Counter()
        self._available: dict[str, int] = {}

    def joined(self, gpu: DeviceFacts) -> None:
        """Take in a worker that has started on a device."""
        self._workers[gpu.uuid] += 1
        if gpu.available_bytes > self._available.get(gpu.uuid, 0):  # less each time: the others' contexts
            self._available[gpu.uuid] = gpu.available_bytes
            known = self._packing.devices.get(gpu.uuid)
            standing = known.standing_bytes if known else None
            self._packing.join(gpu.uuid, Device(gpu.available_bytes, self._slots, standing))

    def left(self, device: str) -> None:
        """Forget a worker that is dead, and its device with the last of them: the node may be gone."""
        self._workers[device] -= 1
        if self._workers[device] == 0 and device in self._packing.devices:
            self._packing.leave(device)
            del self._available[device]

    def next_task(self, queue: TaskQueue, devices: Collection[str], now: float) -> tuple[Task, str] | None:
        """Take the first task off the queue for which one of these devices, which have an idle worker, has room.

        Its memory is reserved there. Returns the task and the device; None if there is nothing to do, or no room.
        """
        found: list[str] = []

        def fits(task: Task) -> bool:
            needed = self._model.predict(self._base_bytes(task.candidate))
            device = self._packing.place(task.candidate.id, needed, alone=task.alone, among=devices)
            found.extend([device] if device else [])
            return device is not None

        task = queue.take_first(fits, now)
        return (task, found[0]) if task else None

    def ended(self, task: Task, device: str, used: MemoryUse | None, *, evaluated: bool) -> None:
        """Free what a task had reserved, and learn from what it used."""
        self._packing.release(task.candidate.id)
        if device in self._packing.devices:
            self._packing.stands(device, used.standing_bytes if used else CONTEXT_BYTES)
        if used and evaluated:
            self._model.observe(self._base_bytes(task.candidate), used.peak_bytes)

    def lost(self, task: Task) -> None:
        """Free what a task had reserved whose worker died."""
        self._packing.release(task.candidate.id)

    def clear(self) -> None:
        """Forget all devices and what runs there: the cluster is gone."""
        for device in list(self._packing.devices):
            self._packing.leave(device)
        self._workers.clear()
        self._available.clear()

    def ran_out_of_memory(self, task: Task) -> None:
        """Learn that a task found too little memory beside others."""
        self._model.out_of_memory(self._base_bytes(task.candidate))
