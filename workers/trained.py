"""The evaluator that trains every candidate: from scratch, from a parent's weights, or from where a rung left it."""

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
    from evonas.workers.parent_weights import ParentWeights
    from evonas.workers.training import Epoch, Training
    from evonas.workers.weight_store import WeightStore

WEIGHTS = "weights"
"""The folder, in a run folder, of what trainings have come to from which others go on."""

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

    With `inherit: parents` the weights of every network are kept there, and a child starts from those of its nearest
    parent, which `SearchSpace.morph` brings to its own shapes: Net2Net (Chen et al., ICLR 2016), where the space knows
    how. It trains for the last `inherited_epochs` of the recipe's schedule, at the low learning rates of its end, with
    an optimizer that starts anew. Networks without a parent are trained from scratch, for all epochs. `epochs` are then
    those that this evaluation trained, and `total_epochs` those of its ancestors too.

    `device` "auto" is what the pool gave to the worker, see `devices`.
    """

    source = Source.TRAINED
    metrics: Sequence[Metric] = (
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
        inherit: Literal["parents"] | None = None,
        inherited_epochs: int = 2,
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
        self.inherits = inherit is not None
        self.inherited_epochs = inherited_epochs
        if self.inherits:
            allowed = 1 <= inherited_epochs <= epochs
            require("inherited_epochs", inherited_epochs, allowed, f"1 to the recipe's {epochs}")
            if rungs:
                raise ConfigError(
                    "'inherit' and 'rungs' exclude each other: a network goes on from its parent or from its own lower "
                    "rung; leave one of them out"
                )
            self.metrics = (*self.metrics, Metric("total_epochs"))
        self._run_folder = run_folder
        self._resident: tuple[Examples, Examples] | None = None

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """The rungs, and the whole recipe."""
        return [*(Fidelity(self.source, rung) for rung in self.rungs), Fidelity(self.source)]

    def part_of_seconds(self, budget: int | None) -> float:
        """Return the part of the epochs that are trained on from the rung below."""
        until = self.recipe.epochs if budget is None else min(budget, self.recipe.epochs)
        begun = max((rung for rung in self.rungs if rung < until), default=0)
        return (until - begun) / self.recipe.epochs

    def recipe_of(self, genome: Genome) -> Recipe:
        """Return the recipe with the options that the genome chooses."""
        return replace(self.recipe, **self.space.recipe(genome))

    @memory_errors()
    def prepare(self) -> None:
        """Import torch, and bring the examples to the device."""
        self._examples(self.space.canonical(self.space.smallest()))

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the metrics of the network trained for the first `budget` epochs of the recipe, or for all of them.

        Raises NotFinite as soon as the loss is not, and MemoryError where a device has too little.
        """
        return self.measure_child(genome, budget, ())

    @memory_errors()
    def measure_child(self, genome: Genome, budget: int | None, parents: Sequence[Genome]) -> Metrics:
        """Return the metrics of a network that starts from the nearest of `parents`, from scratch without any.

        A budget ends the schedule earlier, as elsewhere. Raises DataError where weights are missing or cannot be kept.
        """
        from evonas.workers.training import Training, score, seeded

        recipe = self.recipe_of(genome)
        until = recipe.epochs if budget is None else min(budget, recipe.epochs)
        train_examples, valid_examples = self._examples(genome)
        seed = self.seed_for(genome)
        started = time.perf_counter()
        with seeded(seed, train_examples.device):
            network = self.space.build(genome)
            begun, inherited = 0, 0
            if parents:
                begun, inherited = (
                    max(0, until - self.inherited_epochs),
                    self._parents.hand_on(network, genome, parents),
                )
            network = network.to(train_examples.device)
            training = Training(network, train_examples, recipe, seed, begun)
            last = self._trained(training, genome, recipe, until, budget)
            valid = score(network, valid_examples, recipe)
        epochs = last.number - begun
        if self.inherits and budget is None and self._run_folder is not None:
            self._parents.keep(network, genome, inherited + epochs)
        return {
            "valid_error": valid.error,
            "valid_accuracy": 1.0 - valid.error,
            "valid_loss": valid.loss,
            "train_loss": last.train_loss,
            "epochs": float(epochs),
            "seconds": time.perf_counter() - started,
            **({"total_epochs": float(inherited + epochs)} if self.inherits else {}),
        }

    def _trained(self, training: Training, genome: Genome, recipe: Recipe, until: int, budget: int | None) -> Epoch:
        """Train on from the highest rung that is kept of the network, and keep what comes of it if it may go on."""
        if self._store is None or not self.rungs:
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
        if self._run_folder is None:
            return None
        from evonas.workers.weight_store import WeightStore

        return WeightStore(self._run_folder / WEIGHTS)

    @cached_property
    def _parents(self) -> ParentWeights:
        from evonas.workers.parent_weights import ParentWeights

        if self._store is None:
            raise ConfigError("'inherit: parents' takes weights from a run folder, and there is none: say 'run_folder'")
        return ParentWeights(self._store, self.space, self.seed)

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
