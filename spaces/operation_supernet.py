"""A supernet of any space that chooses operations: networks share weights by place and operation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet


class OperationSupernet(nn.Module, Supernet):
    """The networks of a space on one set of weights, shared by those parameters that `shared_name` gives one name.

    The weights are those of the `covering` networks, which together have every name, each first in its largest shape:
    freshly initialised from torch's global generator. Of larger weights a network takes what `part` says.
    """

    def __init__(self, space: SearchSpace, covering: Iterable[Genome]) -> None:
        super().__init__()
        self.space = space
        self.weights = nn.ParameterDict()
        for genome in covering:
            for path, parameter in space.build(genome).named_parameters():
                self.weights.setdefault(_key(self.shared_name(genome, path)), parameter)

    @abstractmethod
    def shared_name(self, genome: Genome, path: str) -> str:
        """Return the name of the weight that is, or holds, the parameter at `path` of the genome's network."""

    def part(self, genome: Genome, path: str) -> Callable[[Tensor], Tensor] | None:
        """Return what takes the parameter at `path` of the genome's network from its weight; None if it is all."""
        return None

    def subnet(self, genome: Genome) -> Subnet:
        """Return the network of a genome on the shared weights, see Supernet."""
        with torch.device("meta"):
            network = self.space.build(genome)
        takes = {path: self._take(genome, path) for path, _ in network.named_parameters()}
        return Subnet(lambda: network, takes, next(self.parameters()).device)

    def _take(self, genome: Genome, path: str) -> Callable[[], Tensor]:
        key, part = _key(self.shared_name(genome, path)), self.part(genome, path)
        return (lambda: self.weights[key]) if part is None else lambda: part(self.weights[key])


def _key(name: str) -> str:
    return name.replace(".", "/")  # torch's names of parameters have no dots
