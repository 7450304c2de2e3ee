"""How a method learns: forward passes, losses and gradients as a recipe wants them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.training import arranged, autocast, autocast_dtype


class RecipeLearner:
    """The `Learner` of a recipe on a device. On a GPU without bfloat16 gradients are those of a scaled loss."""

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        self.recipe, self.device = recipe, examples.device
        self.dtype = autocast_dtype(recipe, examples.device)
        self.layout: torch.memory_format = torch.preserve_format
        """The order of images in memory that the supernet's networks are given."""
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Return the logits of a network in training mode, float32; an auxiliary head's are left out."""
        network.train()
        with autocast(self.device, self.dtype):
            output = network(arranged(inputs, self.layout))
        logits: Tensor = output if isinstance(output, Tensor) else output[0]
        return logits.float()

    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of each example, with the recipe's label smoothing."""
        return functional.cross_entropy(logits, labels, reduction="none", label_smoothing=self.recipe.label_smoothing)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of the shared weights."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
