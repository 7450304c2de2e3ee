"""The processes that train one supernet together, each on its part of every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which process this is, of how many; torch's process group, which more than one need, is there already."""

    rank: int = 0
    count: int = 1

    def part(self, rows: Tensor) -> Tensor:
        """Return this rank's part of the rows of a batch: all parts are equally large but for one row."""
        return rows.tensor_split(self.count)[self.rank]

    def add_up(self, network: nn.Module, loss: Tensor, share: float) -> Tensor:
        """Make the gradients of all ranks the sum of theirs, each times its share of the batch; return such a loss.

        All ranks have gradients of the same parameters, because all train the same subnets, and get the same loss.
        """
        if self.count == 1:
            return loss
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        bucket = torch.cat([gradient.flatten() for gradient in gradients] + [loss.detach().reshape(1)]) * share
        distributed.all_reduce(bucket)
        start = 0
        for gradient in gradients:
            gradient.copy_(bucket[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return bucket[-1]


ALONE = Ranks()
"""One process, which has whole batches."""
