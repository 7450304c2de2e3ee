"""Training a network on examples, and scoring it on others."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.errors import ConfigError
from evonas.evaluation import NotFinite
from evonas.seeds import derive_seed
from evonas.workers import training_state
from evonas.workers.augmentation import augment
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe

_CUDA_STEPS_UNSEEN = 16  # a GPU is asked for its losses every so many steps: asking stops it


@dataclass(frozen=True, slots=True)
class Epoch:
    """What is known after an epoch, counted from 1: mean training loss in it, seconds since training began here."""

    number: int
    train_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """Mean cross-entropy, in nats, and share of wrong answers of a network on a split."""

    loss: float
    error: float


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within this block torch draws from `seed`, whatever it drew before; afterwards its generators are as they were.

    On a CPU what is computed within is then equal to the bit for equal numbers of threads. On CUDA cuDNN is told to be
    deterministic, and not to choose its algorithms by timing them, which depends on who shares the GPU and takes memory
    for every algorithm that it tries; but some backward passes of torch (pooling) add in any order. Without mixed
    precision float32 is float32 there: TF32, which torch would take for convolutions, is off.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _repeatable_kernels(device):
        torch.manual_seed(seed)
        yield


def train(
    network: nn.Module,
    examples: Examples,
    recipe: Recipe,
    seed: int,
    after_epoch: Callable[[Epoch], None] | None = None,
) -> Epoch:
    """Train the network, which lies on the examples' device, in place, as `Training` says; return the last epoch.

    `after_epoch` may look at an epoch, and stop the training by raising.
    """
    return Training(network, examples, recipe, seed).run(recipe.epochs, after_epoch)


class Training:
    """Trains a network, which lies on the examples' device, in place, and may stop after any epoch.

    It begins `after` so many epochs of the recipe's schedule, none unless said: a network that knows much already is
    trained for the rest. A training that takes the `state` of another, of the same kind of network and of the same
    examples, recipe and seed, goes on as that one would have, to the bit on a CPU.

    Each epoch sees every example once, in an order drawn from `seed`, in batches of nearly equal size, at most
    `recipe.batch_size`. Raises NotFinite at a loss that is NaN or infinite: on a CPU at once, on CUDA within 16 steps.

    In training mode a network may return (logits, auxiliary logits): the loss of the second, weighted by the recipe, is
    added. One with an attribute `drop_path` is told the probability of each epoch in it; ConfigError is raised if the
    recipe drops paths and it has none.

    Mixed precision is bfloat16 where the device computes with it, else float16 with a scaled loss. Images lie in
    channels-last order, which is faster on a CPU in any precision, and on CUDA in mixed precision, unless the network
    does not take it.
    """

    def __init__(self, network: nn.Module, examples: Examples, recipe: Recipe, seed: int, after: int = 0) -> None:
        self._started = time.perf_counter()
        self._network, self._examples, self._recipe = network, examples, recipe
        self._order = torch.Generator().manual_seed(derive_seed(seed, "order"))
        self._noise = torch.Generator(examples.device).manual_seed(derive_seed(seed, "augmentation"))
        self._dtype = autocast_dtype(recipe, examples.device)
        self._layout = lay_out(network, network, examples, self._dtype)
        self._optimizer = optimizer_of(network, recipe)
        self._scaler = torch.amp.GradScaler(examples.device.type, enabled=self._dtype == torch.float16)
        self._last = Epoch(after, math.nan, 0.0)
        if recipe.drop_path > 0 and not hasattr(network, "drop_path"):
            raise ConfigError(
                f"'drop_path: {recipe.drop_path}' needs networks with paths to drop: {type(network).__name__} has no "
                "attribute 'drop_path'; leave the option out"
            )

    def run(self, until: int, after_epoch: Callable[[Epoch], None] | None = None) -> Epoch:
        """Train to the end of epoch `until`, at most the recipe's last, from where the training is; return that epoch.

        `after_epoch` may look at an epoch, and stop the training by raising.
        """
        self._network.train()
        for epoch in range(self._last.number, min(until, self._recipe.epochs)):
            train_loss = self._epoch(epoch)
            self._last = Epoch(epoch + 1, train_loss, time.perf_counter() - self._started)
            if after_epoch is not None:
                after_epoch(self._last)
        return self._last

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return all that the next epoch depends on: tensors, and facts as texts."""
        facts = {"epoch": self._last.number, "train_loss": self._last.train_loss, "scaler": self._scaler.state_dict()}
        tensors = training_state.captured(self._network, self._optimizer, self._generators)
        return tensors, {name: json.dumps(fact) for name, fact in facts.items()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Go on from a state."""
        training_state.put_back(tensors, self._network, self._optimizer, self._generators)
        if scaler := json.loads(facts["scaler"]):
            self._scaler.load_state_dict(scaler)
        self._last = Epoch(json.loads(facts["epoch"]), json.loads(facts["train_loss"]), 0.0)

    @property
    def _generators(self) -> training_state.Generators:
        return training_state.generators(self._examples.device, {"order": self._order, "noise": self._noise})

    def _epoch(self, epoch: int) -> float:
        """Train for an epoch, counted from 0; return its mean loss."""
        network, examples, recipe, scaler = self._network, self._examples, self._recipe, self._scaler
        batches = math.ceil(len(examples) / recipe.batch_size)
        if recipe.drop_path > 0:
            network.drop_path = recipe.drop_path * epoch / recipe.epochs  # type: ignore[assignment]
        losses = Losses(epoch + 1, examples.device)
        for step, (inputs, labels) in enumerate(examples.batches(examples.shuffled(batches, self._order))):
            for group in self._optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(epoch + (step + 1) / batches)
            inputs = arranged(augment(inputs, recipe, self._noise), self._layout)
            with autocast(examples.device, self._dtype):
                loss = _loss(network(inputs), labels, recipe)
            losses.add(loss, len(labels))
            self._optimizer.zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if recipe.gradient_clip is not None:
                scaler.unscale_(self._optimizer)
                nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
            scaler.step(self._optimizer)
            scaler.update()
        return losses.mean()


def score(network: nn.Module, examples: Examples, recipe: Recipe) -> Score:
    """Return how well the network, in evaluation mode, does on the examples. Raises NotFinite at a loss that is not."""
    dtype = autocast_dtype(recipe, examples.device)
    layout = layout_of(network, examples, dtype)
    network.eval()
    loss = torch.zeros((), dtype=torch.float64, device=examples.device)
    wrong = torch.zeros((), dtype=torch.int64, device=examples.device)
    with torch.inference_mode():
        rows = (slice(start, start + recipe.batch_size) for start in range(0, len(examples), recipe.batch_size))
        for inputs, labels in examples.batches(rows):
            with autocast(examples.device, dtype):
                logits = network(arranged(inputs, layout))
            loss += functional.cross_entropy(logits.float(), labels, reduction="sum")
            wrong += (logits.argmax(dim=1) != labels).sum()
    mean = loss.item() / len(examples)
    if not math.isfinite(mean):
        raise NotFinite(f"the loss after training is {mean}")
    return Score(mean, wrong.item() / len(examples))


class Losses:
    """The losses of an epoch's steps, looked at every step, or every 16 on CUDA; NotFinite is raised at a bad one."""

    def __init__(self, epoch: int, device: torch.device) -> None:
        self.epoch, self.every = epoch, 1 if device.type == "cpu" else _CUDA_STEPS_UNSEEN
        self.unseen: list[tuple[Tensor, int]] = []
        self.total, self.examples, self.steps = 0.0, 0, 0

    def add(self, loss: Tensor, examples: int) -> None:
        """Note the mean loss of a batch of so many examples."""
        self.unseen.append((loss.detach(), examples))
        if len(self.unseen) >= self.every:
            self._look()

    def mean(self) -> float:
        """Return the mean over all examples so far."""
        self._look()
        return self.total / self.examples

    def _look(self) -> None:
        if not self.unseen:
            return
        for loss, (_, examples) in zip(
            torch.stack([loss for loss, _ in self.unseen]).tolist(), self.unseen, strict=True
        ):
            self.steps += 1
            if not math.isfinite(loss):
                raise NotFinite(f"the training loss is {loss} in epoch {self.epoch}, step {self.steps}")
            self.total += loss * examples
            self.examples += examples
        self.unseen.clear()


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of the network's parameters; vectors (biases, batch norms) do not decay."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=True)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
    )


def autocast_dtype(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """Return the type that autocast computes with, None for float32; bfloat16 that a GPU only emulates is slow."""
    if recipe.mixed_precision is False or (recipe.mixed_precision == "auto" and device.type == "cpu"):
        return None
    native = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[None]:
    """Let what is computed within be of this type where that is safe; None is float32 throughout."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def layout_of(network: nn.Module, examples: Examples, dtype: torch.dtype | None) -> torch.memory_format:
    """Return the order of images that the device computes with fastest; nothing else is touched.

    A network that reshapes images by `view` takes the plain order alone: it is tried on two examples.
    """
    faster = examples.inputs.ndim == 4 and (examples.device.type == "cpu" or dtype is not None)
    return torch.channels_last if faster and _takes_channels_last(network, examples, dtype) else torch.preserve_format


def arranged(inputs: Tensor, layout: torch.memory_format) -> Tensor:
    """Return the inputs in this order of memory."""
    return inputs if layout is torch.preserve_format else inputs.contiguous(memory_format=layout)


def lay_out(network: nn.Module, tried: nn.Module, examples: Examples, dtype: torch.dtype | None) -> torch.memory_format:
    """Bring the network's weights into the order of `layout_of`, if it or the part of it that is `tried` takes that."""
    layout = layout_of(tried, examples, dtype)
    if layout is torch.channels_last:
        network.to(memory_format=layout)  # type: ignore[call-overload]
        layout = layout_of(tried, examples, dtype)  # an order of images of one channel is none: weights decide then
        if layout is not torch.channels_last:
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return layout


def _takes_channels_last(network: nn.Module, examples: Examples, dtype: torch.dtype | None) -> bool:
    modes = [(module, module.training) for module in network.modules()]
    inputs, _ = examples.batch(slice(2))
    network.eval()
    try:
        with torch.no_grad(), autocast(examples.device, dtype):
            network(arranged(inputs, torch.channels_last))
    except RuntimeError:
        return False
    finally:
        for module, training in modes:
            module.training = training
    return True


@contextmanager
def _repeatable_kernels(device: torch.device) -> Iterator[None]:
    if device.type == "cpu":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = False, True, False, False
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before


def _loss(output: Tensor | tuple[Tensor, Tensor], labels: Tensor, recipe: Recipe) -> Tensor:
    def of(logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)

    if isinstance(output, Tensor):
        return of(output)
    logits, auxiliary_logits = output
    return of(logits) + recipe.auxiliary_weight * of(auxiliary_logits)
