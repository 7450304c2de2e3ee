"""Fisher pruning: how much the loss would change if channels were removed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.workers.proxies.passes import WEIGHTED, by_channel, forward, hooked, weights


def fisher(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over channels of half the mean square, over examples, of activation x gradient of the loss.

    A channel's product is summed over its pixels, or tokens, first. Fisher pruning (Theis et al., 2018) as in BlockSwap
    (Turner et al., ICLR 2020), on the outputs of convolutions and linear layers; summed over a network by Abdelfattah
    et al. (ICLR 2021), where each channel counts once for every weight that it has, and here too.
    """
    seen: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, given: Tensor, output: Tensor) -> Tensor:
        seen.append((layer, output))
        return output.clone()  # what follows may work in place

    leaves = {name: weight.requires_grad_() for name, weight in weights(network).items()}
    with hooked(network, WEIGHTED, keep):
        loss = functional.cross_entropy(forward(network, inputs, leaves), labels)
    outputs = [output for _, output in seen]
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    total = 0.0
    for (layer, output), gradient in zip(seen, gradients, strict=True):
        products = by_channel(layer, output.detach() * gradient)
        weights_each = layer.weight[0].numel()  # type: ignore[index]
        total += weights_each * float(products.square().mean(dim=0).sum()) / 2
    return total
