"""What a supernet is: the networks of a space on shared weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from evonas.space import Genome

if TYPE_CHECKING:
    from torch import nn


class Supernet(ABC):
    """Gives every genome of a space a network whose weights are its own: a view, with nothing to set or to reset.

    A supernet is a torch module as well: its `parameters()` are the shared weights, which training changes and which
    are saved. A class of a user's own need not inherit from this one, only be such a module with a `subnet`.
    """

    @abstractmethod
    def subnet(self, genome: Genome) -> nn.Module:
        """Return the network of a genome on the shared weights.

        Gradients of its loss reach the supernet's parameters, and changed weights are seen by subnets that were made
        before. Any number of subnets may be used side by side. Statistics of batch norms belong to the subnet, fresh
        with each call: in training mode batches are normalised by their own, and for evaluation they are recomputed.
        """
