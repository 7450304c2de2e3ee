"""Weights of one network brought to the shapes of another that computes the same, as far as shapes allow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]
"""Weights and statistics of a network, as `state_dict` returns them."""


def grown(weights: State, fresh: State) -> dict[str, Tensor]:
    """Return the state of a network with the names and shapes of `fresh`, made of `weights` where these have the name.

    Channels are added as Net2WiderNet (Chen et al., "Net2Net", ICLR 2016) adds them: channel i is a copy of channel i
    modulo their number before, in its weights and in its batch norm's statistics, and who reads the copies of a channel
    divides its weights among them. Kernels grow by zeros around them. So the function stays, in training as in
    evaluation, where layers follow each other, branch and add up: not where they are concatenated. What has become
    smaller keeps its first channels and the centre of its kernels, and is another function.

    Deviations from the paper: the copies are not drawn at random, and they are told apart by unequal parts of what is
    divided (1 to 2, or 1 to 2 to 3), where the paper adds noise, which changes the function.
    """
    return {name: _grown(weights[name], value) if name in weights else value for name, value in fresh.items()}


def silent(state: State, norm: str) -> Iterator[tuple[str, Tensor]]:
    """Yield weight and bias of the batch norm `norm` as zeros: what it ends adds nothing, and learns from there on."""
    for name in (f"{norm}.weight", f"{norm}.bias"):
        yield name, torch.zeros_like(state[name])


def _grown(value: Tensor, like: Tensor) -> Tensor:
    if value.ndim != like.ndim:
        return like
    if value.ndim == 4:
        value = _resized_kernel(value, like.shape[2:])
    if value.ndim > 1 and value.shape[1] != like.shape[1]:
        source, parts = _copies(value.shape[1], like.shape[1])
        value = value[:, source] * parts.to(value.dtype).view(-1, *[1] * (value.ndim - 2))
    if value.ndim > 0 and value.shape[0] != like.shape[0]:
        value = value[_copies(value.shape[0], like.shape[0])[0]]
    return value


def _resized_kernel(value: Tensor, size: torch.Size) -> Tensor:
    """Return kernels (outputs, inputs, height, width) of another size with the same centre."""
    height, width = ((new - old) // 2 for new, old in zip(size, value.shape[2:], strict=True))
    return functional.pad(value, (width, width, height, height))  # negative where it crops


def _copies(old: int, new: int) -> tuple[Tensor, Tensor]:
    """Return, for each of `new` channels, the one of `old` that it is a copy of, and its part of what that weighs."""
    channels = torch.arange(new)
    source, copy = channels % old, channels // old
    count = torch.bincount(source)[source]
    return source, 2 * (copy + 1) / (count * (count + 1))
