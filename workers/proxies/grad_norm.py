"""grad_norm: how long the gradients of a network's weights are."""

from __future__ import annotations

from torch import Tensor, nn

from evonas.workers.proxies.passes import weights_and_gradients


def grad_norm(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over layers of the Euclidean norm of the loss's gradient by the layer's weights.

    Zero-Cost Proxies for Lightweight NAS (Abdelfattah et al., ICLR 2021), as published there: mean cross-entropy of one
    minibatch, batch norms in training mode, weights of convolutions and linear layers.
    """
    return sum(float(gradient.norm()) for _, gradient in weights_and_gradients(network, inputs, labels))
