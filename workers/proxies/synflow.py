"""SynFlow: how much flows from the inputs to the outputs along all paths, whatever the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from evonas.workers.proxies.passes import HANDED_ON, forward, hooked, weights


def synflow(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return log(1 + the sum over weights of weight x gradient of R), where R sums the outputs for one input of ones.

    All parameters are taken by their absolute values, batch norms hand their inputs on, and the sum is float64, as in
    the code of Abdelfattah et al. (ICLR 2021). Only the shape of the inputs matters, and neither of the labels.
    SynFlow (Tanaka et al., NeurIPS 2020). Deviations: the logarithm, which changes no order, because the sum grows
    exponentially with depth; layer and group norms hand on too; where the sum is negative, as attention can make it,
    there is no flow to speak of, and the score is NaN.
    """
    positive = {name: parameter.detach().abs().double() for name, parameter in network.named_parameters()}
    buffers = {n: buffer.double() for n, buffer in network.named_buffers() if buffer.is_floating_point()}
    leaves = {name: positive[name].requires_grad_() for name in weights(network)}
    ones = torch.ones_like(inputs[:1], dtype=torch.float64)
    with hooked(network, HANDED_ON, lambda layer, given, output: given):
        outputs = forward(network, ones, {**positive, **buffers}, training=False)
    gradients = torch.autograd.grad(outputs.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    flow = sum(
        float((leaf.detach() * gradient).sum()) for leaf, gradient in zip(leaves.values(), gradients, strict=True)
    )
    return log_flow(flow)


def log_flow(flow: float) -> float:
    """Return log(1 + flow), NaN for what is negative."""
    return math.log1p(flow) if flow >= 0 else math.nan
