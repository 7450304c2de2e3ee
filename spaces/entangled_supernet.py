"""A supernet whose networks are slices of its largest one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from evonas.errors import DataError
from evonas.space import Genome, SearchSpace
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet


class EntangledSupernet(nn.Module, Supernet):
    """The networks of a space on the weights of its largest network: each takes the first so many along every axis.

    Weight entanglement (Chen et al., "AutoFormer", ICCV 2021), as in Once-for-All: the first channels of a layer are
    in all networks that have the layer. Networks share by name, so that a parameter has the same name in all of them,
    and the largest network has every name. It is freshly initialised from torch's global generator, or `pretrained`: a
    safetensors file with its state (statistics of batch norms are not read). Raises DataError if that is no such file.
    """

    def __init__(self, space: SearchSpace, *, pretrained: str | None = None) -> None:
        super().__init__()
        self.space = space
        largest = space.build(space.largest())
        if pretrained is not None:
            _load(largest, Path(pretrained))
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


def _load(largest: nn.Module, file: Path) -> None:
    """Give the network the weights of a file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        given = load_file(file)
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"'pretrained: {file}' cannot be read ({error}): name a safetensors file with the state of the space's "
            "largest network"
        ) from error
    for path, weight in largest.named_parameters():
        if path not in given or given[path].shape != weight.shape:
            found = f"has the shape {list(given[path].shape)}" if path in given else "is not in it"
            raise DataError(
                f"'pretrained: {file}' is not the space's largest network: '{path}' of shape {list(weight.shape)} "
                f"{found}: give the space the options that the network was built with"
            )
    with torch.no_grad():
        for path, weight in largest.named_parameters():
            weight.copy_(given[path])


def _key(path: str) -> str:
    return path.replace(".", "/")  # torch's names of parameters have no dots
