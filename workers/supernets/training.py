"""Training a supernet: epochs that follow from the seed and from the epochs before them, and from nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from evonas.errors import ConfigError
from evonas.seeds import derive_seed, generator
from evonas.workers.augmentation import augment
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.files import METHOD, WEIGHT, part
from evonas.workers.supernets.learner import RecipeLearner
from evonas.workers.supernets.method import Batch, Method, Progress, Rows, subnet_of
from evonas.workers.supernets.ranks import ALONE, Ranks
from evonas.workers.training import Losses, lay_out, optimizer_of, seeded

OPTIMIZER = "optimizer/"
"""What the names of an optimizer's arrays begin with, beside those of `files`."""


class Training:
    """A supernet that a method trains on examples, on their device, an epoch at a time.

    Everything random in an epoch derives from the seed and the number of the epoch or step, so that a training which
    takes up what `arrays` and `facts` have kept goes on as if it had never stopped: on a CPU to the bit, for a fixed
    number of threads. With several `ranks` each makes the same `Training`, trains on its part of every batch, and
    gradients are summed; batch norms then see their rank's part, and augmentation differs.
    """

    def __init__(
        self, supernet: nn.Module, method: Method, examples: Examples, recipe: Recipe, seed: int, ranks: Ranks = ALONE
    ) -> None:
        _check(method, examples, recipe, ranks)
        self.supernet, self.method = supernet, method
        self.epochs = 0
        """How many epochs it has behind it."""
        self._examples, self._recipe, self._seed, self._ranks = examples, recipe, seed, ranks
        self._learner = RecipeLearner(recipe, examples)
        self._take(supernet)

    @property
    def learning_rate(self) -> float:
        """The learning rate in the middle of the next epoch."""
        return self._recipe.learning_rate_at(self.epochs + 0.5)

    def epoch(self, after_step: Callable[[float], None] = lambda done: None) -> float:
        """Train one epoch, and return the mean of the steps' losses; `after_step` is told which share of it is done.

        Raises NotFinite at a loss that is NaN or infinite: on a CPU at once, on CUDA within 16 steps.
        """
        number, device, rank = self.epochs, self._examples.device, self._ranks.rank
        with seeded(derive_seed(self._seed, "beginning", number), device):
            progress = Progress(number, self._recipe.epochs)
            supernet = self.method.begin_epoch(self.supernet, progress, self._examples, self._learner)
            if supernet is not self.supernet:
                self._take(supernet)
        rows, losses = self._rows(number), Losses(number + 1, device)
        noise = torch.Generator(device).manual_seed(derive_seed(self._seed, "augmentation", number, rank))
        with seeded(derive_seed(self._seed, "epoch", number, rank), device):
            for step, (batch, share) in enumerate(self._batches(rows, noise)):
                self._schedule(number + (step + 1) / len(rows))
                loss = self._step(batch, share, generator(self._seed, "step", number, step))
                losses.add(loss, len(rows[step].indices))
                after_step((step + 1) / len(rows))
        self.epochs += 1
        return losses.mean()

    def trained(self) -> dict[str, np.ndarray]:
        """Return weights and the method's state by name, on the host: views where they lie there."""
        weights = {
            f"{WEIGHT}{name}": value.detach().cpu().numpy() for name, value in self.supernet.state_dict().items()
        }
        return {**weights, **{f"{METHOD}{name}": array for name, array in self.method.state().items()}}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, the method's state and the optimizer's, by name, on the host: views where they lie there."""
        kept = self.trained()
        for name, parameter in self.supernet.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    kept[f"{OPTIMIZER}{key}/{name}"] = value.detach().cpu().numpy()
        return kept

    def facts(self) -> dict[str, str]:
        """Return what else belongs to the state, as text: the number of epochs, the scale of a scaled loss."""
        return {"epochs": str(self.epochs), "scaler": json.dumps(self._learner.scaler.state_dict())}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, str]) -> None:
        """Take a state back that another process had reached."""
        self._take(self.method.restore(self.supernet, part(arrays, METHOD)))
        self.supernet.load_state_dict(_tensors(part(arrays, WEIGHT)))
        parameters = dict(self.supernet.named_parameters())
        for path, tensor in _tensors(part(arrays, OPTIMIZER)).items():
            key, _, name = path.partition("/")
            parameter = parameters[name]
            like = parameter if tensor.shape == parameter.shape else tensor  # in the parameter's order of memory
            self._optimizer.state[parameter][key] = torch.empty_like(like, device=parameter.device).copy_(tensor)
        self._learner.scaler.load_state_dict(json.loads(facts["scaler"]))
        self.epochs = int(facts["epochs"])

    def _take(self, supernet: nn.Module) -> None:
        """Train this supernet from here on: its momentum begins at zero."""
        self.supernet = supernet.to(self._examples.device)
        smallest = subnet_of(self.supernet, self.method.space.canonical(self.method.space.smallest()))
        self._learner.layout = lay_out(self.supernet, smallest, self._examples, self._learner.dtype)
        self._optimizer = optimizer_of(self.supernet, self._recipe)
        if isinstance(self._optimizer, torch.optim.SGD) and self._recipe.momentum > 0:
            for parameter in self.supernet.parameters():  # torch's fused SGD wants all or none to have had a step
                self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def _rows(self, epoch: int) -> Sequence[Rows]:
        """Return the batches of an epoch, the same on all ranks."""
        rows = self.method.rows(len(self._examples), self._recipe.batch_size, generator(self._seed, "rows", epoch))
        if rows is not None:
            return rows
        order = torch.randperm(
            len(self._examples), generator=torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
        )
        batches = math.ceil(len(self._examples) / self._recipe.batch_size)
        return [Rows(indices.numpy()) for indices in order.tensor_split(batches)]

    def _batches(self, rows: Sequence[Rows], noise: torch.Generator) -> Iterator[tuple[Batch, float]]:
        """Yield this rank's part of each batch, and which share of the batch it is."""
        examples, device = self._examples, self._examples.device
        indices = [self._ranks.part(torch.from_numpy(batch.indices)).to(examples.inputs.device) for batch in rows]
        for own, batch, (inputs, labels) in zip(indices, rows, examples.batches(indices), strict=True):
            weights = None
            if batch.weights is not None:
                weights = self._ranks.part(torch.from_numpy(batch.weights).float()).to(device)
            yield Batch(augment(inputs, self._recipe, noise), labels, own, weights), len(own) / len(batch.indices)

    def _schedule(self, epoch: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(epoch)

    def _step(self, batch: Batch, share: float, rng: np.random.Generator) -> Tensor:
        self._optimizer.zero_grad()
        loss = self.method.step(self.supernet, batch, self._learner, rng)
        loss = torch.as_tensor(loss, dtype=torch.float32, device=self._examples.device)
        loss = self._ranks.add_up(self.supernet, loss, share)
        scaler = self._learner.scaler
        if self._recipe.gradient_clip is not None:
            scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.supernet.parameters(), self._recipe.gradient_clip)
        scaler.step(self._optimizer)
        scaler.update()
        return loss


def _check(method: Method, examples: Examples, recipe: Recipe, ranks: Ranks) -> None:
    if recipe.drop_path > 0:
        raise ConfigError(
            f"'drop_path: {recipe.drop_path}' is for networks that are trained alone: a supernet's method says which "
            "paths a step trains; leave the option out"
        )
    method.check(recipe.epochs)
    if ranks.count == 1:
        return
    if not method.divisible:
        raise ConfigError(f"{type(method).__name__} must see whole batches: train with 'workers: 1'")
    least = len(examples) // math.ceil(len(examples) / recipe.batch_size) // ranks.count
    if least < 2:
        raise ConfigError(
            f"batches of {recipe.batch_size} leave a worker of {ranks.count} with {least} examples, and batch norm "
            "needs two: raise recipe.batch_size, or train with fewer workers"
        )


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return copies of the arrays as tensors."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
