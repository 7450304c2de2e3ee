"""A subnet: the stand-alone network of a genome, computing with parts of a supernet's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class Subnet(nn.Module):
    """The network that `build` makes, its parameters replaced by what `takes` gives for each of their names.

    Every forward pass takes the weights anew, so that it sees them as they are and gradients flow to where they were
    taken from: slices, sums or products of a supernet's parameters. The subnet has no parameters of its own, only its
    batch norms' statistics. `build` is called under torch's meta device, so that nothing is initialised in vain, and
    its networks may have no other buffers than those statistics. A deep copy is a network that stands alone.
    """

    def __init__(
        self, build: Callable[[], nn.Module], takes: Mapping[str, Callable[[], Tensor]], device: torch.device
    ) -> None:
        super().__init__()
        with torch.device("meta"):
            network = build()
        self._slots: list[tuple[nn.Module, str, Callable[[], Tensor]]] = []
        for path, module in network.named_modules():
            for leaf in [name for name, parameter in module._parameters.items() if parameter is not None]:
                del module._parameters[leaf]
                self._slots.append((module, leaf, takes[f"{path}.{leaf}" if path else leaf]))
            _fresh_statistics(module, device)
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        """Return what the stand-alone network returns."""
        for module, leaf, take in self._slots:
            module.__dict__[leaf] = take()  # an attribute, where setattr would register a parameter
        return self.network(*inputs)

    def standalone(self, network: nn.Module) -> nn.Module:
        """Copy weights and statistics into `network`, which was built for the same genome, and return it."""
        network.load_state_dict(deepcopy(self).state_dict())
        return network

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        """Return the stand-alone network with copies of the weights and statistics that the subnet has now."""
        for module, leaf, take in self._slots:
            module.__dict__.pop(leaf, None)
            module._parameters[leaf] = nn.Parameter(take().detach())
        try:
            return deepcopy(self.network, memo)
        finally:
            for module, leaf, _ in self._slots:
                del module._parameters[leaf]


def _fresh_statistics(module: nn.Module, device: torch.device) -> None:
    for name, buffer in module._buffers.items():
        if buffer is None:
            continue
        if not isinstance(module, nn.modules.batchnorm._NormBase):
            raise TypeError(f"{type(module).__name__} has the buffer '{name}', which a subnet cannot make")
        module._buffers[name] = torch.empty_like(buffer, device=device)
    if isinstance(module, nn.modules.batchnorm._NormBase):
        module.reset_running_stats()
