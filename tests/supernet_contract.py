"""What every supernet must satisfy: inherit SupernetContract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.spaces.subnet import Subnet


@pytest.mark.usefixtures("one_thread")
class SupernetContract(ABC):
    """Claims about a supernet that makes a `Subnet` of each genome; take a small space, each test builds a few.

    A space without the attribute `input_shape` overrides `inputs`.
    """

    space: SearchSpace
    weights: int
    """How many shared weights there are, counted by hand."""
    sampled = 6
    """How many random genomes are tried, besides the smallest and the largest."""

    @abstractmethod
    def supernet(self) -> nn.Module:
        """Return a new supernet of the space, initialised from torch's global generator."""

    def inputs(self, batch: int = 5) -> Tensor:
        generator = torch.Generator().manual_seed(batch)
        return torch.randn(batch, *self.space.input_shape, generator=generator)  # type: ignore[attr-defined]

    def genomes(self) -> list[Genome]:
        rng = np.random.default_rng(0)
        drawn = [self.space.canonical(self.space.sample(rng)) for _ in range(self.sampled)]
        return [self.space.smallest(), self.space.largest(), *drawn]

    @pytest.fixture
    def shared(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            supernet = self.supernet()
            for weight in supernet.parameters():  # batch norms begin all alike
                weight.data.add_(torch.randn_like(weight), alpha=0.1)
        return supernet

    def test_the_shared_weights_are_as_many_as_counted_by_hand(self, shared: nn.Module) -> None:
        assert sum(weight.numel() for weight in shared.parameters()) == self.weights

    def test_a_subnet_has_the_weights_of_its_stand_alone_network_and_none_of_its_own(self, shared: nn.Module) -> None:
        for genome in self.genomes():
            subnet = self.subnet(shared, genome)
            subnet(self.inputs())
            assert not list(subnet.parameters())
            alone = subnet.standalone(self.space.build(genome))
            assert sum(weight.numel() for weight in alone.parameters()) == self.space.costs(genome)["params"]

    def test_a_subnet_computes_what_its_stand_alone_network_computes(self, shared: nn.Module) -> None:
        inputs = self.inputs()
        for genome in self.genomes():
            subnet = self.subnet(shared, genome).train()
            alone = subnet.standalone(self.space.build(genome)).train()
            for _ in range(2):  # which also moves the statistics of batch norms
                self.assert_equal(subnet(inputs), alone(inputs))
            with torch.inference_mode():
                self.assert_equal(subnet.eval()(inputs), alone.eval()(inputs))

    def test_a_deep_copy_keeps_the_statistics_and_goes_its_own_way(self, shared: nn.Module) -> None:
        genome, inputs = self.space.largest(), self.inputs()
        subnet = self.subnet(shared, genome).train()
        subnet(inputs)
        alone = deepcopy(subnet)
        expected = logits(subnet.eval()(inputs))
        assert torch.equal(logits(alone.eval()(inputs)), expected)
        with torch.no_grad():
            for weight in alone.parameters():
                weight.add_(1.0)
        alone.train()(inputs)
        assert torch.equal(logits(subnet(inputs)), expected)

    def test_gradients_reach_exactly_the_weights_that_were_used(self, shared: nn.Module) -> None:
        inputs = self.inputs()
        for genome in self.genomes():
            shared.zero_grad()
            subnet = self.subnet(shared, genome).train()
            alone = subnet.standalone(self.space.build(genome)).train()
            for network in (subnet, alone):
                loss(network(inputs)).backward()
            torch.testing.assert_close(gradients(shared), gradients(alone), rtol=1e-5, atol=0)

    def test_subnets_side_by_side_do_not_disturb_each_other(self, shared: nn.Module) -> None:
        inputs, genomes = self.inputs(), self.genomes()[1:4]
        alone = []
        expected: list[Tensor] = []
        for genome in genomes:
            copy = deepcopy(shared)
            subnet = self.subnet(copy, genome).train()
            loss(subnet(inputs)).backward()
            grown = [torch.zeros_like(w) if w.grad is None else w.grad for w in copy.parameters()]
            expected = [a + b for a, b in zip(expected, grown, strict=True)] if expected else grown
            alone.append(logits(subnet.eval()(inputs)))
        subnets = [self.subnet(shared, genome).train() for genome in genomes]
        for total in [loss(subnet(inputs)) for subnet in subnets]:
            total.backward()
        for weight, gradient in zip(shared.parameters(), expected, strict=True):
            torch.testing.assert_close(
                torch.zeros_like(weight) if weight.grad is None else weight.grad, gradient, rtol=1e-4, atol=1e-6
            )
        for subnet, own in zip(subnets, alone, strict=True):
            assert torch.equal(logits(subnet.eval()(inputs)), own)

    def test_a_subnet_sees_weights_that_change_after_it_was_made(self, shared: nn.Module) -> None:
        genome, inputs = self.space.largest(), self.inputs()
        before = self.subnet(shared, genome)
        outdated = logits(before(inputs))
        with torch.no_grad():
            for weight in shared.parameters():
                weight.mul_(0.5).add_(0.1)
        seen = logits(before(inputs))
        assert torch.equal(seen, logits(self.subnet(shared, genome)(inputs)))
        assert not torch.equal(seen, outdated)

    def test_statistics_are_fresh_with_each_subnet_and_the_shared_weights_are_not_written(
        self, shared: nn.Module
    ) -> None:
        genome, inputs = self.space.largest(), self.inputs()
        kept = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
        used = self.subnet(shared, genome).train()
        used(inputs), used.eval()(inputs)
        again, new = (self.subnet(shared, genome).state_dict() for _ in range(2))
        assert again.keys() == new.keys() == used.state_dict().keys()
        assert all(torch.equal(again[name], new[name]) for name in new)
        assert not all(torch.equal(used.state_dict()[name], new[name]) for name in new)
        assert all(torch.equal(kept[name], tensor) for name, tensor in shared.state_dict().items())

    def test_weights_that_are_assigned_to_another_supernet_make_it_the_same(self, shared: nn.Module) -> None:
        genome, inputs = self.space.largest(), self.inputs()
        other = self.supernet()
        made_before = self.subnet(other, genome)
        other.load_state_dict(shared.state_dict(), assign=True)
        expected = logits(self.subnet(shared, genome)(inputs))
        assert torch.equal(logits(self.subnet(other, genome)(inputs)), expected)
        assert torch.equal(logits(made_before(inputs)), expected)

    def subnet(self, supernet: nn.Module, genome: Genome) -> Subnet:
        made = supernet.subnet(genome)  # type: ignore[operator]
        assert isinstance(made, Subnet)
        return made

    def assert_equal(self, one: Tensor | tuple[Tensor, ...], other: Tensor | tuple[Tensor, ...]) -> None:
        pairs = zip(*((o,) if isinstance(o, Tensor) else o for o in (one, other)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def logits(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits without those of an auxiliary head."""
    return (output if isinstance(output, Tensor) else output[0]).detach()


def loss(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return a loss of all logits whose gradients are hardly ever zero."""
    heads = (output,) if isinstance(output, Tensor) else output
    return torch.stack([head.exp().sum(dim=1).log().sum() + head.square().sum() for head in heads]).sum()


def gradients(network: nn.Module) -> Tensor:
    """Return the gradients of a network that are not zero, in ascending order."""
    found = torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])
    return found[found != 0].sort().values
