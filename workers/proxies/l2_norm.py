"""l2_norm: how long the weights of a network are."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.workers.proxies.passes import weights


def l2_norm(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over layers of the Euclidean norm of the weights; the data do not matter.

    A baseline in the code of Zero-Cost Proxies for Lightweight NAS (Abdelfattah et al., ICLR 2021).
    """
    return sum(float(weight.norm()) for weight in weights(network).values())
