"""What torch counts of networks as they are built, and how many genomes a second anything counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evonas.space import Genome, Metrics


def counted(build: Callable[[Genome], nn.Module], genome: Genome, input_shape: Sequence[int]) -> Metrics:
    """Return the parameters and multiply-adds of a network as it is built, without memory for its weights."""
    with torch.device("meta"):
        network, image = build(genome).eval(), torch.empty(1, *input_shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return {"params": sum(p.numel() for p in network.parameters()), "macs": counter.get_total_flops() / 2}


def rate(count: Callable[[Genome], object], genomes: Sequence[Genome]) -> float:
    """Return calls a second of processor time, so that what else runs here does not matter."""
    started = time.process_time()
    for genome in genomes:
        count(genome)
    return len(genomes) / (time.process_time() - started)
