"""Statistics of each layer of a network at initialisation, what evolved proxies are expressions of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.proxies.expression import STATISTICS
from evonas.workers.proxies.passes import HANDED_ON, WEIGHTED, by_channel, forward, hooked, weights
from evonas.workers.proxies.synflow import log_flow

_RIDGE = 1e-3  # keeps the volume of codes finite where two examples have the same


def layer_statistics(network: nn.Module, inputs: Tensor, labels: Tensor) -> np.ndarray:
    """Return a row for each pass through a convolution or linear layer, in order, shape (layers, statistics), float64.

    The network sees one batch in training mode; gradients are those of the mean cross-entropy, 0 where it does not
    depend on a layer. The columns are `STATISTICS`:

    - `depth`: the layer's place, from 0 to 1; `weights`: how many it has; `outputs`: its elements, an example;
    - `weight_*`, `gradient_*` (of the weights), `activation_*` (what it returns) and `delta_*` (the gradient of that):
      mean absolute value (`size`), standard deviation and Euclidean norm;
    - `saliency`: sum of |weight x gradient|, as in SNIP (Lee et al. 2019);
    - `fisher`: sum over channels, mean over examples, of half the square of activation x delta, summed over pixels
      or tokens (Theis et al. 2018);
    - `code_volume`: log-determinant of the share of the layer's inputs in which two examples have the same sign, plus
      0.001 on the diagonal: the kernel of NASWOT (Mellor et al. 2021) of a layer that follows a ReLU;
    - `flow`: logarithm of 1 + sum of weight x gradient where all weights are positive, inputs are ones, norms hand
      them on and the loss is the sum of logits, in float64, as in SynFlow (Tanaka et al. 2020); NaN where that sum is
      negative, as attention's can be.
    """
    leaves = {name: weight.requires_grad_() for name, weight in weights(network).items()}
    passes: list[_Pass] = []

    def keep(layer: nn.Module, given: Tensor, output: Tensor) -> Tensor:
        passes.append(_Pass(layer, layer.weight, given.detach(), output))  # type: ignore[arg-type]
        return output.clone()  # what follows may work in place

    with torch.enable_grad(), hooked(network, WEIGHTED, keep):
        loss = functional.cross_entropy(forward(network, inputs, leaves), labels)
    if not passes:
        return np.empty((0, len(STATISTICS)))
    wanted = [*(each.weight for each in passes), *(each.outputs for each in passes)]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    flows = _flows(network, inputs)
    depths = np.linspace(0.0, 1.0, max(len(passes), 2)).tolist()
    by_weight, by_output = gradients[: len(passes)], gradients[len(passes) :]
    rows = [
        (depth, *_row(each, gradient, delta), flows.get(each.layer, 0.0))
        for depth, each, gradient, delta in zip(depths, passes, by_weight, by_output, strict=False)
    ]
    return np.array(rows)


@dataclass(frozen=True, slots=True)
class _Pass:
    """A pass through a layer: `weight` and `outputs` are what gradients are taken by."""

    layer: nn.Module
    weight: Tensor
    inputs: Tensor
    outputs: Tensor


def _row(each: _Pass, gradient: Tensor, delta: Tensor) -> list[float]:
    weight, outputs = each.weight.detach(), each.outputs.detach()
    products = (outputs * delta).double()
    return [
        float(weight.numel()),
        outputs[0].numel(),
        *_moments(weight),
        *_moments(gradient),
        float((weight * gradient).double().abs().sum()),
        *_moments(outputs),
        *_moments(delta),
        float(by_channel(each.layer, products).square().mean(dim=0).sum() / 2),
        _code_volume(each.inputs),
    ]


def _moments(values: Tensor) -> list[float]:
    values = values.double()
    return [float(values.abs().mean()), float(values.std(correction=0)), float(torch.linalg.vector_norm(values))]


def _flows(network: nn.Module, inputs: Tensor) -> dict[nn.Module, float]:
    """Return the flow of each layer that is passed in evaluation, where auxiliary heads rest."""
    positive = {name: parameter.detach().abs().double() for name, parameter in network.named_parameters()}
    buffers = {n: buffer.double() for n, buffer in network.named_buffers() if buffer.is_floating_point()}
    for name in weights(network):
        positive[name].requires_grad_()
    passed: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, given: Tensor, output: Tensor) -> None:
        passed[layer] = layer.weight  # type: ignore[assignment]

    ones = torch.ones_like(inputs[:1], dtype=torch.float64)
    hand_on = hooked(network, HANDED_ON, lambda layer, given, output: given)
    with torch.enable_grad(), hand_on, hooked(network, WEIGHTED, note):
        outputs = forward(network, ones, {**positive, **buffers}, training=False)
    gradients = torch.autograd.grad(outputs.sum(), list(passed.values()), allow_unused=True, materialize_grads=True)
    return {
        layer: log_flow(float((weight.detach() * gradient).sum()))
        for (layer, weight), gradient in zip(passed.items(), gradients, strict=True)
    }


def _code_volume(inputs: Tensor) -> float:
    codes = (inputs.flatten(1) > 0).float()
    same = (codes @ codes.T + (1 - codes) @ (1 - codes).T) / codes.shape[1]
    kernel = same.double() + _RIDGE * torch.eye(len(codes), dtype=torch.float64, device=codes.device)
    return float(torch.linalg.slogdet(kernel).logabsdet)
