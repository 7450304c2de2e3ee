"""Batch-norm statistics of a network, computed anew on a fixed sample."""

from __future__ import annotations

import math

import torch
from torch import nn

from evonas.workers.examples import Examples


def recalibrate(network: nn.Module, examples: Examples, batch_size: int) -> None:
    """Set the running statistics of the network's batch norms to those of the examples, and leave it in evaluation.

    The examples are passed through in batches of nearly equal size, at most `batch_size`, each normalised by its own
    statistics; what is kept is their mean over the batches, as in SPOS (Guo et al., "Single Path One-Shot", ECCV 2020).
    All else is in evaluation meanwhile: nothing is dropped, nothing is random, and no weight is written.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: the mean of all batches
        norm.train()
    count = math.ceil(len(examples) / batch_size)
    edges = [len(examples) * batch // count for batch in range(count + 1)]
    try:
        with torch.no_grad():
            for inputs, _ in examples.batches(map(slice, edges, edges[1:])):
                network(inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
