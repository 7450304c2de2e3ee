"""What autograd keeps of a forward pass, counted."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace


class _Kept:
    """A saved tensor; it lives as long as the graph that saved it, so that what is freed on the way does not count."""

    def __init__(self, saved: Tensor) -> None:
        self.saved = saved.detach()  # the tensor itself would hold the graph that holds it


def kept_elements(space: SearchSpace, genome: Genome, input_shape: tuple[int, ...]) -> int:
    """Return the elements that one example more makes autograd keep, each storage once."""
    network = space.build(genome).train()
    return _kept(network, torch.zeros(3, *input_shape)) - _kept(network, torch.zeros(2, *input_shape))


def _kept(network: nn.Module, inputs: Tensor) -> int:
    alive = weakref.WeakSet[_Kept]()

    def pack(saved: Tensor) -> _Kept:
        kept = _Kept(saved)
        alive.add(kept)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.saved):
        logits = network(inputs)
    storages = {kept.saved.untyped_storage()._cdata: kept.saved for kept in alive}
    elements = sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in storages.values())
    del logits  # until here: it holds the graph
    return elements
