"""The supernet of the transformer space, from scratch or from a pretrained network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evonas.spaces.entangled_supernet import EntangledSupernet
from evonas.spaces.transformer import Transformer


class TransformerSupernet(EntangledSupernet):
    """Transformers on the weights of the largest: the first blocks, heads, and channels inside the perceptrons.

    `pretrained` is a safetensors file with the weights of the largest network of the space, which is then the
    supernet's largest subnet from the start (InstaTune: Sarah et al., "Instantaneous Neural Architecture Search During
    Fine-Tuning", 2023). With `ordered` its heads, and the channels inside its perceptrons, are first put in the order
    of their importance, which changes no output of the largest network and leaves the best ones to small ones:
    DynaBERT's rewiring (Hou et al., NeurIPS 2020).

    Deviation: importance is the L1 norm of the weights that a head or channel is written out through, as channels are
    sorted in Once-for-All, and not the loss's gradient.
    """

    space: Transformer

    def __init__(self, space: Transformer, *, pretrained: str | None = None, ordered: bool = True) -> None:
        super().__init__(space, pretrained=pretrained)
        if pretrained is not None and ordered:
            self._order()

    @torch.no_grad()
    def _order(self) -> None:
        plan = self.space.plan(self.space.largest())
        for number, block in enumerate(plan.blocks):
            place = f"blocks.{number}."
            out = self.weight(f"{place}project.weight")
            heads = torch.arange(out.shape[1]).view(block.heads, -1)
            channels = heads[_by_importance(out.abs().sum(0)[heads].sum(1))].flatten()
            inner = [f"{place}{name}.{kind}" for name in ("query", "key", "value") for kind in ("weight", "bias")]
            _permute([self.weight(path) for path in inner], out, channels)
            out = self.weight(f"{place}perceptron.2.weight")
            inner = [f"{place}perceptron.0.weight", f"{place}perceptron.0.bias"]
            _permute([self.weight(path) for path in inner], out, _by_importance(out.abs().sum(0)))


def _by_importance(importance: Tensor) -> Tensor:
    return importance.sort(descending=True, stable=True).indices


def _permute(inner: list[nn.Parameter], out: nn.Parameter, order: Tensor) -> None:
    """Put the channels between two layers in this order: rows of `inner`, columns of `out`."""
    for weight in inner:
        weight.copy_(weight[order])
    out.copy_(out[:, order])
