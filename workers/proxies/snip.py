"""SNIP: how much the loss would change if connections were removed."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.workers.proxies.passes import weights_and_gradients


def snip(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over weights of |weight x gradient of the loss|, the connection sensitivity.

    SNIP (Lee et al., ICLR 2019), summed over a network as by Abdelfattah et al. (ICLR 2021). Deviation from the former:
    weights keep the network's own initialisation, and the sensitivities are not normalised by their sum, which would
    make it 1.
    """
    return sum(
        float((weight * gradient).abs().sum()) for weight, gradient in weights_and_gradients(network, inputs, labels)
    )
