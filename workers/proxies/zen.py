"""Zen-score: how much a network's features change with its inputs, whatever its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evonas.workers.proxies.passes import BATCH_NORMS, WEIGHTED, forward, hooked

_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_STEP, _SEED = 0.01, 0


def zen(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return log(mean change of the features between x and x + 0.01 e) + the sum of log(deviation) over batch norms.

    Zen-NAS (Lin et al., ICCV 2021): weights, x and e are Gaussian, of the shape of the inputs; the features are what
    the last adaptive average pool or, without one, the last linear layer is given, and their change is a sum of
    absolute values, as in the published code. Adding what batch norms have divided by undoes their scaling. Deviations:
    one draw, always the same for networks of the same layers; the variance is the batch's, where the published code
    reads running ones; a batch norm whose input does not vary is left out. -inf where the features do not change.
    """
    noise = torch.Generator().manual_seed(_SEED)
    first, step = (torch.randn(inputs.shape, generator=noise).to(inputs) for _ in range(2))
    gaussian = _gaussian(network, noise)
    with torch.no_grad():
        features, log_scales = _features(network, first, gaussian)
        moved, _ = _features(network, first + _STEP * step, gaussian)
    change = (moved - features).abs().flatten(1).sum(dim=1).mean()
    return float(change.log()) + log_scales


def _gaussian(network: nn.Module, noise: torch.Generator) -> dict[str, Tensor]:
    """Return weights that are drawn, biases of 0, and batch norms that do nothing more than to normalise."""
    drawn = {}
    for path, module in network.named_modules():
        for leaf, parameter in module._parameters.items():
            if parameter is not None and isinstance(module, (*WEIGHTED, *BATCH_NORMS)):
                value = torch.zeros(parameter.shape)
                if leaf == "weight":
                    value = torch.randn(parameter.shape, generator=noise) if isinstance(module, WEIGHTED) else value + 1
                drawn[f"{path}.{leaf}" if path else leaf] = value.to(parameter)
    return drawn


def _features(network: nn.Module, inputs: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, float]:
    pooled: list[Tensor] = []
    classified: list[Tensor] = []
    log_scales = 0.0

    def normalised(layer: nn.Module, given: Tensor, output: Tensor) -> None:
        nonlocal log_scales
        variance = given.transpose(0, 1).flatten(1).var(dim=1, correction=0).mean()
        log_scales += float(variance.log()) / 2 if variance > 0 else 0.0

    with (
        hooked(network, BATCH_NORMS, normalised),
        hooked(network, _POOLS, lambda layer, given, output: pooled.append(given)),
        hooked(network, (nn.Linear,), lambda layer, given, output: classified.append(given)),
    ):
        forward(network, inputs, state)
    return (pooled or classified)[-1], log_scales
