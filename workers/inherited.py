"""The evaluator that scores networks on the weights of a trained supernet."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evonas.dataset import Dataset
from evonas.errors import DataError, require
from evonas.evaluation import Evaluator, Metric, Source
from evonas.joint_space import JointSpace
from evonas.seeds import generator
from evonas.space import Genome, Metrics, SearchSpace
from evonas.supernet_folder import SupernetHeader
from evonas.workers.devices import choose_device, memory_errors
from evonas.workers.packed_arrays import PackedArrays
from evonas.workers.recipe import Recipe
from evonas.workers.supernets import files
from evonas.workers.supernets.files import SupernetFile

if TYPE_CHECKING:
    from torch import nn

    from evonas.workers.examples import Examples


class Inherited(Evaluator):
    """Measures networks on the valid split with the weights of `supernet`, a folder that `evonas supernet` has written.

    Statistics of batch norms are recomputed for each network on `calibration_examples` of the training split (SPOS: Guo
    et al., ECCV 2020), and it is scored on `valid_examples` of the valid split, all unless said; the run's seed draws
    both, the same for all networks. The weights are read on the driver, once; workers see them in shared memory, and
    nothing writes to them.

    With `fine_tune_epochs` a copy of the network is trained for so many epochs before, with the options of `Recipe`;
    `epochs` tells how many, and a candidate's budget overrides it. On a CPU the same candidate gets the same numbers to
    the bit wherever and whenever it is measured. `supernet` must belong to this space and these data, or DataError is
    raised before the search begins. Recipe genes of the space change nothing here.
    """

    source = Source.INHERITED
    metrics = (
        Metric("valid_error", worst=1.0),
        Metric("valid_accuracy", maximize=True, worst=0.0),
        Metric("valid_loss"),
        Metric("epochs"),
        Metric("seconds"),
    )

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        seed: int,
        *,
        supernet: Path,
        calibration_examples: int = 1024,
        valid_examples: int | None = None,
        batch_size: int = 128,
        fine_tune_epochs: int = 0,
        learning_rate: float = 0.02,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        warmup_epochs: float = 0.0,
        label_smoothing: float = 0.0,
        gradient_clip: float | None = None,
        flip: bool = False,
        shift: int = 0,
        cutout: int = 0,
        auxiliary_weight: float = 0.4,
        drop_path: float = 0.0,
        mixed_precision: bool | Literal["auto"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> None:
        super().__init__(space, seed)
        require("calibration_examples", calibration_examples, calibration_examples >= 2, "2 or more")
        allowed = valid_examples is None or valid_examples >= 1
        require("valid_examples", valid_examples, allowed, "1 or more, or null for all")
        require("fine_tune_epochs", fine_tune_epochs, fine_tune_epochs >= 0, "0 or more")
        self.data = data
        self.supernet = Path(supernet)
        self.calibration_examples = calibration_examples
        self.valid_examples = valid_examples
        self.fine_tune_epochs = fine_tune_epochs
        self.recipe = Recipe(
            epochs=max(1, fine_tune_epochs),
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            momentum=momentum,
            weight_decay=weight_decay,
            warmup_epochs=warmup_epochs,
            label_smoothing=label_smoothing,
            gradient_clip=gradient_clip,
            flip=flip,
            shift=shift,
            cutout=cutout,
            auxiliary_weight=auxiliary_weight,
            drop_path=drop_path,
            mixed_precision=mixed_precision,
        )
        self.recipe.check_inputs(data.input_shape)
        self.device = device
        self._shared: SharedSupernet | None = None

    def share(self) -> SharedSupernet:
        """Read the supernet's file and check it; raise DataError if it cannot be used here."""
        if self._shared is None:
            file = files.load(self.supernet)
            self._check(file)
            self._shared = SharedSupernet(file.header, PackedArrays.of(file.arrays))
        return self._shared

    def adopt(self, shared: object) -> None:
        """Take what the driver has read."""
        assert isinstance(shared, SharedSupernet)
        self._shared = shared

    def fingerprint(self) -> str:
        """Return a hash of the supernet's file."""
        return files.fingerprint(self.supernet)

    @memory_errors()
    def prepare(self) -> None:
        """Import torch, and bring weights and examples to the device."""
        _ = self._resident

    @memory_errors()
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the metrics of the network on inherited weights, fine-tuned for `budget` epochs if that is given.

        Raises NotFinite as soon as a loss is not, and MemoryError where a device has too little.
        """
        from evonas.workers.batch_norm import recalibrate
        from evonas.workers.training import score, seeded, train

        epochs = self.fine_tune_epochs if budget is None else budget
        here, seed = self._resident, self.seed_for(genome)
        started = time.perf_counter()
        with seeded(seed, here.calibration.device):
            network: nn.Module = here.supernet.subnet(self._architecture(genome))  # type: ignore[operator]
            if epochs > 0:
                network = deepcopy(network)
                train(network, self._training, replace(self.recipe, epochs=epochs), seed)
            recalibrate(network, here.calibration, self.recipe)
            valid = score(network, here.valid, self.recipe)
        return {
            "valid_error": valid.error,
            "valid_accuracy": 1.0 - valid.error,
            "valid_loss": valid.loss,
            "epochs": float(epochs),
            "seconds": time.perf_counter() - started,
        }

    @memory_errors()
    def rehearse(self, genome: Genome) -> float:
        """Measure once, fine-tuned for an epoch at most; return the estimated seconds of a full evaluation."""
        inherited = self.measure(genome, 0)["seconds"]
        epoch = self.measure(genome, 1)["seconds"] - inherited if self.fine_tune_epochs else 0.0
        return inherited + self.fine_tune_epochs * max(0.0, epoch)

    @property
    def _architectures(self) -> SearchSpace:
        return self.space.architectures if isinstance(self.space, JointSpace) else self.space

    def _architecture(self, genome: Genome) -> Genome:
        return self.space.split(genome)[0] if isinstance(self.space, JointSpace) else genome

    def _check(self, file: SupernetFile) -> None:
        """Raise DataError unless the supernet is one of this space that was trained on these data."""
        files.check_space(file, self._architectures)
        trained_on, here = file.header.data_fingerprint, self.data.fingerprint()
        if trained_on != here:
            raise DataError(
                f"the supernet '{file.header.name}' was trained on other data: their fingerprint is {trained_on}, and "
                f"that of '{self.data.name}' is {here}: search with its 'data', "
                f"{file.header.config['data']}, or train another with these"
            )

    @cached_property
    def _resident(self) -> _Resident:
        from evonas.workers.examples import Examples
        from evonas.workers.training import seeded

        device, shared = choose_device(self.device), self.share()
        arrays = shared.packed.arrays()
        with seeded(0, device):  # a supernet is initialised before it gets its weights
            supernet = files.restored(SupernetFile(shared.header, arrays), self._architectures, arrays).to(device)
        train = self.data.train.sample(self.calibration_examples, generator(self.seed, "calibration"))
        valid = self.data.valid
        if self.valid_examples is not None:
            valid = valid.sample(self.valid_examples, generator(self.seed, "valid"))
        return _Resident(supernet, *(Examples.of(self.data, split, device) for split in (train, valid)))

    @cached_property
    def _training(self) -> Examples:
        from evonas.workers.examples import Examples

        return Examples.of(self.data, self.data.train, self._resident.valid.device)


@dataclass(frozen=True, slots=True)
class SharedSupernet:
    """A supernet's file as it travels to workers."""

    header: SupernetHeader
    packed: PackedArrays


@dataclass(frozen=True, slots=True)
class _Resident:
    """What a worker keeps on its device."""

    supernet: nn.Module
    calibration: Examples
    valid: Examples
