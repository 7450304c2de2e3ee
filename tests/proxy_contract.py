"""What every zero-cost proxy must do: inherit ProxyContract, and say which function it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.spaces.cell201 import Cell201
from evonas.spaces.mobile import Mobile
from evonas.spaces.nasnet_cell import NASNetCell
from evonas.spaces.transformer import Transformer

Proxy = Callable[[nn.Module, Tensor, Tensor], float]

CELLS = Cell201(stem_channels=4, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
ALL_KINDS: Genome = (3, 1, 2, 4, 3, 2)
NOTHING: Genome = (0,) * 6


class ProxyContract:
    """The claims, on a small cell of all operations; a subclass is collected by pytest if its name begins with Test."""

    proxy: ClassVar[Proxy]
    of_nothing: ClassVar[float]
    """Its score where no cell hands anything on: a number, or NaN or -inf, which fails a candidate."""

    def score(self, network: nn.Module, examples: int = 8) -> float:
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(examples, 1, 8, 8, generator=generator)
        return type(self).proxy(network, inputs, torch.arange(examples) % 3)

    def test_a_network_is_left_as_it_was(self) -> None:
        network = built(CELLS, ALL_KINDS)
        network.body[1].eval()  # type: ignore[index, union-attr]
        network.stem[0].weight.requires_grad_(False)  # type: ignore[index, union-attr]
        next(network.head.parameters()).grad = torch.ones(8)  # type: ignore[union-attr]
        before = _condition(network)
        self.score(network)
        assert _condition(network) == before

    def test_scores_repeat_whatever_was_scored_before_and_whatever_is_frozen(self) -> None:
        network = built(CELLS, ALL_KINDS)
        first = self.score(network)
        self.score(built(CELLS, NOTHING))
        network.eval().requires_grad_(False)
        assert math.isfinite(first)
        assert self.score(network) == first

    def test_scores_tell_initial_weights_apart(self) -> None:
        assert self.score(built(CELLS, ALL_KINDS)) != self.score(built(CELLS, (3, 1, 2, 4, 3, 3)))

    def test_auxiliary_logits_are_no_trouble(self) -> None:
        space = NASNetCell(channels=4, layers=3, blocks=2, auxiliary=True, input_shape=(1, 8, 8))
        assert math.isfinite(self.score(built(space, space.canonical(space.smallest())), examples=4))

    @pytest.mark.parametrize(
        "space",
        [
            Mobile(skeleton="tiny", input_shape=(1, 8, 8)),
            Transformer(widths=(8,), head_width=4, depths=(2, 3), heads=(2,), input_shape=(1, 8, 8)),
        ],
        ids=["mobile", "transformer"],
    )
    def test_networks_that_excite_channels_or_attend_have_a_score(self, space: SearchSpace) -> None:
        assert math.isfinite(self.score(built(space, space.smallest()), examples=4))

    def test_a_network_of_empty_cells_has_a_score_or_is_said_to_have_none(self) -> None:
        assert self.score(built(CELLS, NOTHING)) == pytest.approx(self.of_nothing, nan_ok=True)


def built(space: SearchSpace, genome: Genome) -> nn.Module:
    """Return a network with weights of its own seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return space.build(genome)


def linear(*rows: list[float]) -> nn.Linear:
    """Return a linear layer without bias that has these weights."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


def three_to_one() -> tuple[nn.Module, Tensor, Tensor]:
    """Return a linear layer, an input and a label: the probabilities are 3/4 and 1/4, and the second class is true."""
    return linear([math.log(3), 0.0], [0.0, 0.0]), torch.tensor([[1.0, 0.0]]), torch.tensor([1])


class Squares(nn.Module):
    """Two logits whose sum is half the sum of squares: the gradient by an input is the input."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.square().sum(dim=1, keepdim=True).expand(-1, 2) / 4


def _condition(network: nn.Module) -> object:
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = {n: None if p.grad is None else p.grad.tolist() for n, p in network.named_parameters()}
    asked = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    hooks = [len(module._forward_hooks) for module in network.modules()]
    modes = [module.training for module in network.modules()]
    return {n: t.tolist() for n, t in tensors.items()}, gradients, asked, hooks, modes
