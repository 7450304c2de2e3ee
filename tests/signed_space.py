"""A space of linear networks whose gradients are known: some options want weights of the opposite sign."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.supernet import Supernet


class Signed(SearchSpace):
    """Networks of digits: `scale` times the sum of two linear parts, each with a sign."""

    genes = (Gene("scale", (1.0, 1.5, 2.0)), Gene("sign", (1.0, -1.0, -2.0, 0.5)), Gene("half_sign", (1.0, -1.0)))

    def build(self, genome: Genome) -> nn.Module:
        raise NotImplementedError

    def costs(self, genome: Genome) -> Metrics:
        return {"params": 1280.0, "macs": 1280.0}


class SignedSupernet(nn.Module, Supernet):
    """Their weights, which are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.whole, self.halved = nn.Parameter(torch.zeros(64, 10)), nn.Parameter(torch.zeros(64, 10))

    def subnet(self, genome: Genome) -> nn.Module:
        scale, sign, half_sign = (gene.options[index] for gene, index in zip(Signed.genes, genome, strict=True))
        return _Called(lambda inputs: scale * (sign * inputs @ self.whole + 0.3 * half_sign * inputs @ self.halved))


class _Called(nn.Module):
    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, images: Tensor) -> Tensor:
        return self.call(images.flatten(1))
