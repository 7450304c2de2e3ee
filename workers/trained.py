"""The evaluator that trains every candidate, from scratch or from where a lower rung has left it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evonas.dataset import Dataset
from evonas.errors import ConfigError, require
from evonas.evaluation import Evaluator, Fidelity, Metric, Source
from evonas.space import Genome, Metrics, SearchSpace
from evonas.workers.devices import choose_device, memory_errors
from evonas.workers.gpu_memory import training_bytes
from evonas.workers.recipe import Recipe

if TYPE_CHECKING:
    from evonas.workers.examples import Examples
    from evonas.workers.training import Epoch, Training
    from evonas.workers.weight_store import WeightStore

WEIGHTS = "weights"
"""The folder, in a run folder, of what trainings that may go on have come to."""

_REHEARSED_STEPS = 3


class Trained(Evaluator):
    """Trains a network on the train split and measures it on the valid split; the test split is never read.

    Initial weights, order of the examples and augmentation come from the run's seed and the network. On a CPU the same
    candidate gets the same numbers to the bit, in any process and after any other candidate, for a fixed number of
    torch threads (which the pool sets). The options are those of `Recipe`, and each may be a recipe gene, which then
    chooses for its candidate.

    A candidate's budget stops the recipe's schedule after so many epochs. `rungs` are the budgets that a search of
    several fidelities may ask for, ascending, such as [1, 3]: what a rung has trained is kept in the run folder's
    `weights`, and a higher one continues from there, on whatever worker, with numbers equal to those from scratch, to
    the bit on a CPU. What is not there is trained from scratch; files go when their network has been trained to the
    end. `seconds` are those that this evaluation took, and `epochs` all that the network was trained for.

    `device` "auto" is what the pool gave to the worker, see `devices`.
    """

    source = Source.TRAINED
    metrics = (
        Metric("valid_error", worst=1.0),
        Metric("valid_accuracy", maximize=True, worst=0.0),
        Metric("valid_loss"),
        Metric("train_loss"),
        Metric("epochs"),
        Metric("seconds"),
    )
    recipe_options = tuple(field.name for field in fields(Recipe))

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        seed: int,
        run_folder: Path | None = None,
        *,
        epochs: int = 8,
        batch_size: int = 128,
        learning_rate: float = 0.1,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        warmup_epochs: float = 1.0,
        label_smoothing: float = 0.0,
        gradient_clip: float | None = None,
        flip: bool = False,
        shift: int = 0,
        cutout: int = 0,
        auxiliary_weight: float = 0.4,
        drop_path: float = 0.0,
        mixed_precision: bool | Literal["auto"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        rungs: Sequence[int] = (),
    ) -> None:
        super().__init__(space, seed)
        self.data = data
        self.recipe = Recipe(
            epochs=epochs,
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
        self.rungs = tuple(rungs)
        ascending = all(low < high for low, high in pairwise([0, *self.rungs, epochs]))
        require("rungs", rungs, ascending, f"ascending numbers of epochs, from 1 to below the recipe's {epochs}")
        self._run_folder = run_folder
        self._resident: tuple[Examples, Examples] | None = None

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """The rungs, and the whole recipe."""
        return [*(Fidelity(self.source, rung) for rung in self.rungs), Fidelity(self.source)]

    def recipe_of(self, genome: Genome) -> Recipe:
        """Return the recipe with the options that the genome chooses."""
        return replace(self.recipe, **self.space.recipe(genome))

    @memory_errors()
    def prepare(self) -> None:
        """Import torch, and bring the examples to the device."""
        self._examples(self.space.canonical(self.space.smallest()))

    @memory_errors()
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the metrics of the network trained for the first `budget` epochs of the recipe, or for all of them.

        Raises NotFinite as soon as the loss is not, and MemoryError where a device has too little.
        """
        from evonas.workers.training import Training, score, seeded

        recipe = self.recipe_of(genome)
        train_examples, valid_examples = self._examples(genome)
        seed = self.seed_for(genome)
        started = time.perf_counter()
        with seeded(seed, train_examples.device):
            network = self.space.build(genome).to(train_examples.device)
            training = Training(network, train_examples, recipe, seed)
            last = self._trained(training, genome, recipe, budget)
            valid = score(network, valid_examples, recipe)
        return {
            "valid_error": valid.error,
            "valid_accuracy": 1.0 - valid.error,
            "valid_loss": valid.loss,
            "train_loss": last.train_loss,
            "epochs": float(last.number),
            "seconds": time.perf_counter() - started,
        }

    def _trained(self, training: Training, genome: Genome, recipe: Recipe, budget: int | None) -> Epoch:
        """Train on from the highest rung that is kept of the network, and keep what comes of it if it may go on."""
        until = recipe.epochs if budget is None else min(budget, recipe.epochs)
        if self._store is None:
            return training.run(until)
        network = self.seed, list(self.space.canonical(genome)), asdict(recipe)
        keys = {min(rung, recipe.epochs): json.dumps([*network, min(rung, recipe.epochs)]) for rung in self.rungs}
        for rung in reversed(keys):
            if rung <= until and (kept := self._store.load(keys[rung])):
                training.restore(*kept)
                break
        last = training.run(until)
        if budget is not None and until in keys:
            self._store.save(keys[until], *training.state())
        for rung in keys:
            if rung < until or budget is None:
                self._store.discard(keys[rung])
        return last

    @cached_property
    def _store(self) -> WeightStore | None:
        if self._run_folder is None or not self.rungs:
            return None
        from evonas.workers.weight_store import WeightStore

        return WeightStore(self._run_folder / WEIGHTS)

    def memory_bytes(self, genome: Genome) -> int | None:
        """Return the bytes of GPU memory that training the network takes by arithmetic, None if the space cannot tell.

        See `gpu_memory.training_bytes`; resident data and the process's CUDA context are not in it.
        """
        activations, recipe = self.space.activations(genome), self.recipe_of(genome)
        if activations is None:
            return None
        return training_bytes(
            self.space.costs(genome)["params"],
            activations,
            batch_size=min(recipe.batch_size, len(self.data.train)),
            example_elements=math.prod(self.data.input_shape),
            half_precision=recipe.mixed_precision is not False,
            moments=recipe.moments,
        )

    @memory_errors()
    def rehearse(self, genome: Genome) -> float:
        """Train a few batches after one to warm up, score one; return the estimated seconds of a full evaluation."""
        from evonas.workers.training import score, seeded, train

        train_examples, valid_examples = self._examples(genome)
        recipe = self.recipe_of(genome)
        size = recipe.batch_size
        few, one = train_examples.first(_REHEARSED_STEPS * size), valid_examples.first(size)
        short = replace(recipe, epochs=1)
        seed = self.seed_for(genome)
        with seeded(seed, train_examples.device):
            network = self.space.build(genome).to(train_examples.device)
            train(network, few.first(size), short, seed)
            trained = train(network, few, short, seed).seconds
            started = time.perf_counter()
            score(network, one, short)
            scored = time.perf_counter() - started
        epoch = trained * len(train_examples) / len(few)
        return recipe.epochs * epoch + scored * len(valid_examples) / len(one)

    def _examples(self, genome: Genome) -> tuple[Examples, Examples]:
        """Return train and valid on the device; loaded, and checked against the space, at the first candidate."""
        if self._resident is None:
            from evonas.workers.examples import Examples

            device = choose_device(self.device)
            resident = tuple(Examples.of(self.data, split, device) for split in (self.data.train, self.data.valid))
            self._check_logits(genome, resident[0])
            self._resident = resident[0], resident[1]
        return self._resident

    def _check_logits(self, genome: Genome, examples: Examples) -> None:
        import torch

        from evonas.workers.training import seeded

        with seeded(0, examples.device), torch.inference_mode():
            network = self.space.build(genome).to(examples.device).eval()
            logits = network(examples.batch(slice(2))[0])
        if (shape := tuple(logits.shape)) != (2, len(self.data.classes)):
            raise ConfigError(
                f"the networks of the space must return one logit a class: {self.data.name} has "
                f"{len(self.data.classes)} classes, and two of its inputs give the shape {shape}: set 'classes'"
            )
