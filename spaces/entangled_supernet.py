"""A supernet whose networks are slices of its largest one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet


class EntangledSupernet(nn.Module, Supernet):
    """The networks of a space on the weights of its largest network: each takes the first so many along every axis.

    Weight entanglement (Chen et al., "AutoFormer", ICCV 2021), as in Once-for-All: the first channels of a layer are
    in all networks that have the layer. Networks share by name, so that a parameter has the same name in all of them,
    and the largest network has every name. It is freshly initialised from torch's global generator.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        largest = space.build(space.largest())
        self.weights = nn.ParameterDict({_key(path): weight for path, weight in largest.named_parameters()})

    def subnet(self, genome: Genome) -> Subnet:
        """Return the network of a genome on the shared weights, see Supernet."""
        with torch.device("meta"):
            network = self.space.build(genome)
        takes = {path: self.take(path, weight.shape) for path, weight in network.named_parameters()}
        return Subnet(lambda: network, takes, next(self.parameters()).device)

    def take(self, path: str, shape: torch.Size) -> Callable[[], Tensor]:
        """Return what gives the parameter of this path and shape."""
        first = tuple(slice(length) for length in shape)
        return lambda: self.weight(path)[first]

    def weight(self, path: str) -> nn.Parameter:
        """Return the whole shared weight of this path."""
        shared: nn.Parameter = self.weights[_key(path)]
        return shared


def _key(path: str) -> str:
    return path.replace(".", "/")  # torch's names of parameters have no dots
