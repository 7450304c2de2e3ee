"""GraSP: how much removing a weight would keep of the gradient's length."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from evonas.workers.proxies.passes import forward, weights


def grasp(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over weights of -weight x (Hessian of the loss x its gradient).

    GraSP (Wang et al., ICLR 2020), with the sign and the temperature 1 of Abdelfattah et al. (ICLR 2021). Deviation
    from the former's code: both derivatives are of one forward pass over the whole minibatch.
    """
    named = {name: weight.requires_grad_() for name, weight in weights(network).items()}
    leaves = list(named.values())
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        loss = functional.cross_entropy(forward(network, inputs, named), labels)
        gradients = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
        squared = torch.stack([(gradient.detach() * gradient).sum() for gradient in gradients]).sum()
        products = torch.autograd.grad(squared, leaves, allow_unused=True, materialize_grads=True)
    return -sum(float((leaf.detach() * product).sum()) for leaf, product in zip(leaves, products, strict=True))
