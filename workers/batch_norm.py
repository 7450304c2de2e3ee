"""Batch-norm statistics of a network, computed anew on a fixed sample."""

from __future__ import annotations

import torch
from torch import nn

from evonas.workers.examples import Examples


def recalibrate(network: nn.Module, examples: Examples, batch_size: int) -> None:
    """Set the running statistics of the network's batch norms to those of the examples, and leave it in evaluation.

    They are the mean over batches, as in SPOS (Guo et al., ECCV 2020); weights are read only. Everything but batch
    norms is in evaluation meanwhile: no dropout, nothing random.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: the mean of all batches
        norm.train()
    with torch.no_grad():
        rows = (slice(start, start + batch_size) for start in range(0, len(examples), batch_size))
        for inputs, _ in examples.batches(rows):
            network(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
