"""The evaluator that trains every candidate from scratch."""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Literal

from evonas.dataset import Dataset
from evonas.errors import ConfigError
from evonas.evaluation import Evaluator, Metric, Source
from evonas.space import Genome, Metrics, SearchSpace
from evonas.workers.devices import choose_device, memory_errors
from evonas.workers.gpu_memory import training_bytes
from evonas.workers.recipe import Recipe

if TYPE_CHECKING:
    from evonas.workers.examples import Examples

_REHEARSED_STEPS = 3


class Trained(Evaluator):
    """Trains a network on the train split and measures it on the valid split; the test split is never read.

    Initial weights, order of the examples and augmentation come from the run's seed and the network. On a CPU the same
    candidate gets the same numbers to the bit, in any process and after any other candidate, for a fixed number of
    torch threads (which the pool sets). The options are those of `Recipe`, and each may be a recipe gene, which then
    chooses for its candidate; a candidate's budget overrides `epochs`.
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
        self._resident: tuple[Examples, Examples] | None = None

    def recipe_of(self, genome: Genome) -> Recipe:
        """Return the recipe with the options that the genome chooses."""
        return replace(self.recipe, **self.space.recipe(genome))

    @memory_errors()
    def prepare(self) -> None:
        """Import torch, and bring the examples to the device."""
        self._examples(self.space.canonical(self.space.smallest()))

    @memory_errors()
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the metrics of the network trained for `budget` epochs, or for the recipe's.

        Raises NotFinite as soon as the loss is not, and MemoryError where a device has too little.
        """
        from evonas.workers.training import score, seeded, train

        recipe = self.recipe_of(genome)
        recipe = recipe if budget is None else replace(recipe, epochs=budget)
        train_examples, valid_examples = self._examples(genome)
        seed = self.seed_for(genome)
        started = time.perf_counter()
        with seeded(seed, train_examples.device):
            network = self.space.build(genome).to(train_examples.device)
            last = train(network, train_examples, recipe, seed)
            valid = score(network, valid_examples, recipe)
        return {
            "valid_error": valid.error,
            "valid_accuracy": 1.0 - valid.error,
            "valid_loss": valid.loss,
            "train_loss": last.train_loss,
            "epochs": float(last.number),
            "seconds": time.perf_counter() - started,
        }

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
