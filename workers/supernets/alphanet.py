"""The sandwich rule with the adaptive alpha-divergence for distillation (Wang et al., ICML 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from evonas.errors import require
from evonas.space import SearchSpace
from evonas.workers.supernets.alpha_divergence import alpha_divergence
from evonas.workers.supernets.sandwich import Sandwich


class AlphaNet(Sandwich):
    """Subnets learn from the largest one by whichever of two alpha-divergences is larger, example by example.

    Wang et al., "AlphaNet: Improved Training of Supernets with Alpha-Divergence", ICML 2021: cross-entropy with soft
    labels lets subnets be less sure than they could; the divergence of `alpha_min` punishes that, the one of
    `alpha_max` that they are too sure, and importance weights are at most `clip`. The defaults are the paper's.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        random_subnets: int = 2,
        alpha_min: float = -1.0,
        alpha_max: float = 1.0,
        clip: float = 5.0,
    ) -> None:
        super().__init__(space, seed, random_subnets=random_subnets)
        require("alpha_min", alpha_min, alpha_min < alpha_max, f"below 'alpha_max', {alpha_max}")
        require("clip", clip, clip > 0, "above 0")
        self.alpha_min, self.alpha_max, self.clip = alpha_min, alpha_max, clip

    def distillation(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the larger of the two divergences for each example."""
        both = [alpha_divergence(student, teacher, alpha, self.clip) for alpha in (self.alpha_min, self.alpha_max)]
        return torch.maximum(*both)
