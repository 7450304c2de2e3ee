"""A proxy that was evolved: an expression of statistics of the network's layers."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.proxies.expression import STATISTICS, Expression, Layers
from evonas.workers.proxies.layer_statistics import layer_statistics


def evolved(expression: Expression, network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the score that an expression gives the network as it is, NaN if it has no layer.

    Expressions as proxies: EZNAS (Akhauri et al., NeurIPS 2022), EMQ (Dong et al., ICCV 2023); they are found by
    `evonas/proxies/deap_evolution.py`.
    """
    table = layer_statistics(network, inputs, labels)
    return float(expression.scores(Layers.of(STATISTICS, [table]))[0]) if len(table) else float("nan")
