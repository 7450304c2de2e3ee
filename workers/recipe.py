"""How a network is trained: a recipe of numbers, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evonas.errors import ConfigError, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum, or AdamW, with linear warm-up and a cosine to zero.

    AdamW (Loshchilov and Hutter, ICLR 2019) decouples weight decay from the gradient; `momentum` is its first beta, the
    second is 0.999.

    `weight_decay` acts on weights of two and more axes, not on biases and batch norms (He et al., "Bag of Tricks", CVPR
    2019). `warmup_epochs` may be a fraction. `gradient_clip` bounds the norm of the whole gradient. Augmentation is for
    images: `flip` mirrors half of them, `shift` moves them by up to so many pixels, `cutout` blanks a square of this
    side. What a network may have besides: `auxiliary_weight` is the weight of the loss of a second head's logits, and
    `drop_path` the probability of dropping a path at the end of training, towards which it rises from 0 in equal steps,
    one an epoch.
    `mixed_precision` "auto" means on CUDA. Raises ConfigError for numbers out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    flip: bool = False
    shift: int = 0
    cutout: int = 0
    auxiliary_weight: float = 0.4
    drop_path: float = 0.0
    mixed_precision: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        require("epochs", self.epochs, self.epochs >= 1, "1 or more")
        require("batch_size", self.batch_size, self.batch_size >= 2, "2 or more (batch norm needs two examples)")
        require("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0")
        require("optimizer", self.optimizer, self.optimizer in ("sgd", "adamw"), "'sgd' or 'adamw'")
        require("momentum", self.momentum, 0 <= self.momentum < 1, "0 or more, below 1")
        require("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more")
        require("warmup_epochs", self.warmup_epochs, 0 <= self.warmup_epochs < math.inf, "0 or more")
        require("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "0 or more, below 1")
        if self.gradient_clip is not None:
            require("gradient_clip", self.gradient_clip, self.gradient_clip > 0, "above 0, or null for none")
        require("shift", self.shift, self.shift >= 0, "0 or more pixels")
        require("cutout", self.cutout, self.cutout >= 0, "0 or more pixels")
        require("auxiliary_weight", self.auxiliary_weight, 0 <= self.auxiliary_weight < math.inf, "0 or more")
        require("drop_path", self.drop_path, 0 <= self.drop_path < 1, "0 or more, below 1")

    @property
    def moments(self) -> int:
        """How many numbers the optimizer keeps for every weight."""
        return 2 if self.optimizer == "adamw" else int(self.momentum > 0)

    @property
    def augments(self) -> bool:
        """Whether the training images are changed at random."""
        return self.flip or self.shift > 0 or self.cutout > 0

    def check_inputs(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigError unless inputs of this shape can be augmented as the recipe says."""
        if not self.augments:
            return
        if len(shape) != 3:
            raise ConfigError(
                f"flip, shift and cutout are for images, and inputs have the shape {shape}: leave them out"
            )
        side = min(shape[1:])
        require("shift", self.shift, self.shift < side, f"smaller than the images, {side} pixels")
        require("cutout", self.cutout, self.cutout <= side, f"at most the images' size, {side} pixels")

    def learning_rate_at(self, epoch: float) -> float:
        """Return the learning rate after `epoch` epochs, which may be a fraction (cosine: Loshchilov and Hutter 2017).

        A warm-up that is longer than half of the training is cut to half.
        """
        warmup = min(self.warmup_epochs, self.epochs / 2)
        if epoch < warmup:
            return self.learning_rate * epoch / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (self.epochs - warmup)))
