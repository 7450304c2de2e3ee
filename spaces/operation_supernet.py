"""A supernet of any space that chooses operations: networks share weights by place and operation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet


class Share(NamedTuple):
    """A network's part in the weights: the name of a weight, and what takes the part from it if it is not all."""

    name: str
    part: Callable[[Tensor], Tensor] | None = None


class OperationSupernet(nn.Module, Supernet):
    """The networks of a space on one set of weights: parameters for which `shares` gives one name are one.

    The weights are those of the `covering` networks, which together have every name, each first in its largest shape:
    freshly initialised from torch's global generator.
    """

    def __init__(self, space: SearchSpace, covering: Iterable[Genome]) -> None:
        super().__init__()
        self.space = space
        self.weights = nn.ParameterDict()
        for genome in covering:
            share = self.shares(genome)
            for path, parameter in space.build(genome).named_parameters():
                self.weights.setdefault(_key(share(path).name), parameter)

    @abstractmethod
    def shares(self, genome: Genome) -> Callable[[str], Share]:
        """Return what says, for the path of each parameter of the genome's network, what it is of the weights."""

    def subnet(self, genome: Genome) -> Subnet:
        """Return the network of a genome on the shared weights, see Supernet."""
        with torch.device("meta"):
            network = self.space.build(genome)
        share = self.shares(genome)
        takes = {path: self._take(share(path)) for path, _ in network.named_parameters()}
        return Subnet(lambda: network, takes, next(self.parameters()).device)

    def _take(self, share: Share) -> Callable[[], Tensor]:
        key, part = _key(share.name), share.part
        return (lambda: self.weights[key]) if part is None else lambda: part(self.weights[key])


def _key(name: str) -> str:
    return name.replace(".", "/")  # torch's names of parameters have no dots
