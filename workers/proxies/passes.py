"""Passes through a network that leave it as it was: weights are handed in, and statistics are copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""The layers whose weights proxies look at, as in the pruning that most of them come from: no biases, no norms."""

BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)

HANDED_ON = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)
"""The layers that hand their inputs on where flows are measured: they have no positive weights to flow through."""

Hook = Callable[[nn.Module, Tensor, Tensor], Tensor | None]
"""Is given a layer, its input and its output; what it returns, if anything, is the output instead."""


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by their names in the network, shared ones once."""
    found: dict[int, tuple[str, Tensor]] = {}
    for path, module in network.named_modules():
        weight = module._parameters.get("weight")
        if isinstance(module, WEIGHTED) and weight is not None:
            found.setdefault(id(weight), (f"{path}.weight" if path else "weight", weight.detach()))
    return dict(found.values())


def forward(
    network: nn.Module, inputs: Tensor, replaced: Mapping[str, Tensor] | None = None, *, training: bool = True
) -> Tensor:
    """Return the logits with some parameters or buffers `replaced`; those of an auxiliary head are left out.

    Gradients reach what is replaced and the inputs, and nothing else. In training mode batch norms normalise by the
    batch, and their running statistics stay as they are. A network that draws, as for dropout, draws from torch's
    global generator.
    """
    state = {name: parameter.detach() for name, parameter in network.named_parameters()}
    state |= {name: buffer.clone() for name, buffer in network.named_buffers()}
    modes = [(module, module.training) for module in network.modules()]
    network.train(training)
    try:
        output = functional_call(network, {**state, **(replaced or {})}, (inputs,))
    finally:
        for module, mode in modes:
            module.training = mode
    return output if isinstance(output, Tensor) else output[0]


def by_channel(layer: nn.Module, values: Tensor) -> Tensor:
    """Return the sums over pixels or tokens of what has the shape of a layer's output, shape (examples, channels)."""
    if values.ndim <= 2:
        return values
    return values.flatten(1, -2).sum(dim=1) if isinstance(layer, nn.Linear) else values.flatten(2).sum(dim=2)


def weights_and_gradients(network: nn.Module, inputs: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return each weight with its gradient of the mean cross-entropy; it is 0 where the loss does not depend on it."""
    leaves = {name: weight.requires_grad_() for name, weight in weights(network).items()}
    loss = functional.cross_entropy(forward(network, inputs, leaves), labels)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return [(weight.detach(), gradient) for weight, gradient in zip(leaves.values(), gradients, strict=True)]


def input_gradients(network: nn.Module, inputs: Tensor) -> np.ndarray:
    """Return the gradient of the sum of all logits by each input, shape (examples, elements of an input), float64."""
    leaf = inputs.detach().clone().requires_grad_()
    total = forward(network, leaf).sum()
    gradient = torch.zeros_like(leaf)
    if total.requires_grad:
        (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True, materialize_grads=True)
    rows: np.ndarray = gradient.flatten(1).double().cpu().numpy()
    return rows


def correlations(rows: np.ndarray) -> np.ndarray:
    """Return the correlation of each row with each, shape (rows, rows); NaN where a row is constant."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        directions = centred / lengths
    related: np.ndarray = directions @ directions.T
    return related.clip(-1.0, 1.0)


@contextmanager
def hooked(network: nn.Module, kinds: tuple[type[nn.Module], ...], hook: Hook) -> Iterator[None]:
    """Within this block `hook` sees every pass through a layer of these kinds."""

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        return hook(module, inputs[0], output)

    handles = [module.register_forward_hook(seen) for module in network.modules() if isinstance(module, kinds)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
