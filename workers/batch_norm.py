"""Batch-norm statistics of a network, computed anew on a fixed sample."""

from __future__ import annotations

import math

import torch
from torch import nn

from evonas.errors import DataError
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.training import arranged, autocast, autocast_dtype, layout_of


def recalibrate(network: nn.Module, examples: Examples, recipe: Recipe) -> None:
    """Set the running statistics of the network's batch norms to those of the examples, and leave it in evaluation.

    The examples are passed through in batches of nearly equal size, at most the recipe's (of two an odd number makes
    one of three), each normalised by its own statistics, in the precision that networks are scored in; what is kept is
    the mean over the batches, as in SPOS (Guo et al., "Single Path One-Shot", ECCV 2020). All else is in evaluation
    meanwhile: nothing is dropped, nothing is random, and no weight is written. Raises DataError for a single example,
    which has no statistics.
    """
    if len(examples) < 2:
        raise DataError(f"batch norms are recalibrated on 2 examples or more, and there are {len(examples)}: draw more")
    dtype = autocast_dtype(recipe, examples.device)
    layout = layout_of(network, examples, dtype)
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: the mean of all batches
        norm.train()
    count = min(math.ceil(len(examples) / recipe.batch_size), len(examples) // 2)
    edges = [len(examples) * batch // count for batch in range(count + 1)]
    try:
        with torch.no_grad(), autocast(examples.device, dtype):
            for inputs, _ in examples.batches(map(slice, edges, edges[1:])):
                network(arranged(inputs, layout))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
