"""plain: how much the loss would grow if all weights grew alike."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.workers.proxies.passes import weights_and_gradients


def plain(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over weights of weight x gradient of the loss, with its sign.

    The baseline of that name in the code of Zero-Cost Proxies for Lightweight NAS (Abdelfattah et al., ICLR 2021), SNIP
    without the absolute value. A layer whose output goes straight into a batch norm adds nothing: the loss does not
    change when its weights are scaled.
    """
    return sum(float((weight * gradient).sum()) for weight, gradient in weights_and_gradients(network, inputs, labels))
