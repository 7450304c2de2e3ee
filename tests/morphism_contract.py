"""What a space promises of children's weights: inherit MorphismContract, and say which children compute the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evonas.seeds import generator
from evonas.space import Genome, SearchSpace


class MorphismContract(ABC):
    """The claims; a subclass is collected by pytest if its name begins with Test. Networks should be tiny."""

    parents: int
    """How many networks have all their children of one changed gene tried."""
    tolerance = 1e-5

    @abstractmethod
    def space(self) -> SearchSpace:
        """Return the space."""

    @abstractmethod
    def preserved(self, parent: Genome, child: Genome) -> bool:
        """Return whether the function is promised to stay."""

    @pytest.fixture(autouse=True)
    def _seeded(self) -> Iterator[None]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield

    def test_the_function_stays_where_that_is_promised_and_only_there(self) -> None:
        """In both modes; of what is not promised, each kind of change alters some network's function."""
        space, rng = self.space(), generator(0, "morphisms")
        promised, altered = 0, dict[tuple[int, int], float]()
        for _ in range(self.parents):
            genome = space.sample(rng)
            parent = worn(space.build(genome), rng)
            images = torch.randn(4, *space.input_shape)  # type: ignore[attr-defined]
            outputs = {mode: output(parent, images, mode) for mode in ("eval", "train")}
            for child in neighbours(space, genome):
                heir = space.build(child)
                heir.load_state_dict(space.morph(genome, child, parent.state_dict(), heir.state_dict()))
                apart = {mode: float((output(heir, images, mode) - outputs[mode]).abs().max()) for mode in outputs}
                if self.preserved(genome, child):
                    promised += 1
                    assert max(apart.values()) < self.tolerance, (genome, child, apart)
                else:
                    [change] = [(a, b) for a, b in zip(genome, child, strict=True) if a != b]
                    altered[change] = max(altered.get(change, 0.0), apart["eval"])
        assert promised >= 2 * self.parents
        assert min(altered.values()) > 10 * self.tolerance, altered

    def test_weights_that_are_inherited_stay_as_they_are(self) -> None:
        space, rng = self.space(), generator(1, "morphisms")
        genome = space.sample(rng)
        parent, child = space.build(genome), next(iter(neighbours(space, genome)))
        given, fresh = parent.state_dict(), space.build(child).state_dict()
        before = [{name: value.clone() for name, value in state.items()} for state in (given, fresh)]
        space.morph(genome, child, given, fresh)
        for state, kept in zip((given, fresh), before, strict=True):
            assert all(torch.equal(value, kept[name]) for name, value in state.items())

    def test_an_equal_network_inherits_everything(self) -> None:
        space, rng = self.space(), generator(2, "morphisms")
        genome = space.sample(rng)
        parent = worn(space.build(genome), rng).state_dict()
        state = space.morph(genome, genome, parent, space.build(genome).state_dict())
        assert all(torch.equal(value, parent[name]) for name, value in state.items())


def neighbours(space: SearchSpace, genome: Genome) -> Iterator[Genome]:
    """Yield the genomes that differ in one gene, as far as their networks may differ."""
    for position, gene in enumerate(space.genes):
        for option in range(len(gene.options)):
            if option != genome[position]:
                yield (*genome[:position], option, *genome[position + 1 :])


def worn(network: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Give the network's batch norms weights, biases and statistics as training would: none is 0 or 1."""
    draw = torch.Generator().manual_seed(int(rng.integers(2**31)))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
                value: Tensor = getattr(module, name).detach()
                value.copy_(low + torch.rand(value.shape, generator=draw))
    return network


def output(network: nn.Module, images: Tensor, mode: str) -> Tensor:
    """Return the logits in a mode, and leave the network as it was."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        logits: Tensor = network.train(mode == "train")(images)
    network.load_state_dict(state)
    return logits
