"""Training a supernet in several processes at once, through Ray Train."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evonas.config_supernet import SupernetExperiment
from evonas.errors import EvonasError, ResourceError, TrainingStopped
from evonas.supernet_folder import EpochRecord, SupernetHeader
from evonas.supernet_trainer import SupernetTrainer
from evonas.workers.environment import environment
from evonas.workers.ray_session import connect, living_nodes

RESTARTS = 3
"""So many deaths of workers a training survives: it starts again from its last checkpoint."""

PATIENCE = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600"}
"""How often Ray Train looks whether workers live, and how long they may take to start, in its own variables."""

NEWS_SECONDS = 0.2


class RayTrainer(SupernetTrainer):
    """Trains on `workers` processes of a Ray cluster, or of this machine, each on its part of every batch.

    All draw the same subnets, and gradients are summed by gloo, or by NCCL where each has a GPU. The first writes what
    is kept, so the folder must be on storage that all nodes share. When one dies, all start again from the last
    checkpoint, up to three times. Without batch norms, augmentation and dropout the weights are those of one worker, to
    the precision of sums; batch norms see a worker's part of the batch.
    """

    def check(self) -> None:
        """Build all parts here, on the CPU, and try two examples."""
        import torch

        from evonas.workers.supernets.parts import Parts
        from evonas.workers.supernets.ranks import Ranks

        Parts.of(self.experiment, self.data, torch.device("cpu"), Ranks(0, self.experiment.workers))

    def train(
        self,
        folder: Path,
        header: SupernetHeader,
        after_epoch: Callable[[EpochRecord], None],
        after_step: Callable[[float], None],
    ) -> None:
        """Train from where the folder's checkpoint is; raise ResourceError where Ray has too little for the workers."""
        experiment = self.experiment
        connection = connect(experiment.address, cpus_each=experiment.cpus, workers=experiment.workers)
        import ray

        try:
            uses_gpus = _uses_gpus(experiment)
            mailbox = ray.remote(num_cpus=0)(_Mailbox).remote()
            task = {
                "experiment": experiment.plain(),
                "data": ray.put(self.data),
                "folder": str(folder.absolute()),
                "header": header.plain(),
                "mailbox": mailbox,
                "search_path": [entry or str(Path.cwd()) for entry in sys.path],
            }
            try:
                _fit(task, experiment, uses_gpus, lambda: _tell(mailbox, after_epoch))
            finally:
                ray.kill(mailbox)  # workers that are left, when this was interrupted, fail at their next word
        finally:
            if connection.opened:
                ray.shutdown()


class _Mailbox:
    """What workers tell the driver: epochs, and why there is no use in going on."""

    def __init__(self) -> None:
        self._epochs: list[EpochRecord] = []
        self._stopped: EvonasError | None = None

    def add(self, record: EpochRecord) -> None:
        self._epochs.append(record)

    def take(self) -> list[EpochRecord]:
        taken, self._epochs = self._epochs, []
        return taken

    def stop(self, error: EvonasError) -> None:
        self._stopped = self._stopped or error

    def stopped(self) -> EvonasError | None:
        return self._stopped


def _uses_gpus(experiment: SupernetExperiment) -> bool:
    """Say whether each worker gets a GPU; raise ResourceError where the cluster has too little for them."""
    nodes, workers = living_nodes(), experiment.workers
    if sum(node.cpus // experiment.cpus for node in nodes) < workers:
        raise ResourceError(
            f"{workers} workers of {experiment.cpus} CPUs do not fit into this Ray, which has "
            f"{', '.join(f'{node.cpus:g}' for node in nodes)} CPUs: lower workers or cpus"
        )
    enough = sum(node.gpus for node in nodes) >= workers
    if experiment.device == "cuda" and not enough:
        raise ResourceError(f"'device: cuda' needs a GPU for each of {workers} workers, and this Ray has fewer")
    return enough and experiment.device != "cpu"


def _fit(
    task: Mapping[str, Any], experiment: SupernetExperiment, uses_gpus: bool, each_look: Callable[[], None]
) -> None:
    """Let Ray Train do the task in a thread, which Ctrl-C does not reach, and look at its news meanwhile.

    Raises what the mailbox has been told of, before what Ray Train makes of it.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.config import LoggingConfig

    failures: list[BaseException] = []
    storage = tempfile.mkdtemp(prefix="evonas-ray-train-")

    def fit() -> None:
        try:
            TorchTrainer(
                _train,
                train_loop_config=dict(task),
                scaling_config=ScalingConfig(
                    num_workers=experiment.workers,
                    use_gpu=uses_gpus,
                    resources_per_worker={"CPU": experiment.cpus, **({"GPU": 1} if uses_gpus else {})},
                ),
                run_config=RunConfig(
                    name="supernet",
                    storage_path=storage,
                    failure_config=FailureConfig(max_failures=RESTARTS),
                    logging_config=LoggingConfig(log_level="ERROR"),
                ),
            ).fit()
        except BaseException as error:  # raised again in the main thread
            failures.append(error)

    settings = {
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        **{name: os.environ.get(name, value) for name, value in PATIENCE.items()},
    }
    thread = threading.Thread(target=fit, name="evonas-ray-train", daemon=True)
    try:
        with environment(settings):
            thread.start()
            while thread.is_alive():
                thread.join(NEWS_SECONDS)
                each_look()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    each_look()
    if stopped := ray.get(task["mailbox"].stopped.remote()):
        raise stopped
    for failure in failures:
        if not isinstance(failure, TrainingFailedError):
            raise failure
        reasons = getattr(failure, "worker_failures", {}).values()
        reason = str(next(iter(reasons), failure)).strip().rpartition("\n")[2]
        raise TrainingStopped(
            f"workers have died more than {RESTARTS} times, the last of: {reason}: what is kept can be resumed with "
            f"--resume"
        ) from failure


def _tell(mailbox: Any, after_epoch: Callable[[EpochRecord], None]) -> None:
    import ray

    for record in ray.get(mailbox.take.remote()):
        after_epoch(record)


def _train(task: dict[str, Any]) -> None:
    """Train on a worker: what a person must mend goes into the mailbox, and whatever else makes all start again."""
    import ray
    import torch
    from ray.train import get_context
    from ray.train.torch import get_device

    from evonas import config_supernet
    from evonas.workers.supernets.epochs import train_in
    from evonas.workers.supernets.parts import Parts
    from evonas.workers.supernets.ranks import Ranks

    sys.path.extend(entry for entry in task["search_path"] if entry not in sys.path)  # of a user's own modules
    mailbox = task["mailbox"]
    if ray.get(mailbox.stopped.remote()):
        return
    context = get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    try:
        experiment = config_supernet.parse(task["experiment"])
        torch.set_num_threads(experiment.cpus)
        parts = Parts.of(experiment, ray.get(task["data"]), get_device(), ranks)
        folder = Path(task["folder"])
        if not folder.is_dir():
            raise ResourceError(f"a worker does not find {folder}: 'runs' must be a folder that all nodes share")
        train_in(
            folder,
            SupernetHeader.of(task["header"]),
            parts,
            lambda record: ray.get(mailbox.add.remote(record)),
            writes=ranks.rank == 0,
        )
    except EvonasError as error:
        ray.get(mailbox.stop.remote(error))
        if not isinstance(error, TrainingStopped):
            raise  # the others do not know
