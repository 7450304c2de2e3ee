"""What every search space must satisfy: inherit SpaceContract, or GenomeContract where it builds no networks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from evonas.errors import GenomeError
from evonas.space import Genome, SearchSpace


class GenomeContract:
    """Claims about the genomes of any SearchSpace and their costs, `params` among them."""

    space: SearchSpace

    def sampled(self, count: int, seed: int = 0) -> list[Genome]:
        rng = np.random.default_rng(seed)
        return [self.space.sample(rng) for _ in range(count)]

    def test_genes_have_unique_names_and_options(self) -> None:
        names = [gene.name for gene in self.space.genes]
        assert names
        assert all(names)
        assert len(set(names)) == len(names)
        assert all(len(gene.options) > 0 and len(set(gene.options)) == len(gene.options) for gene in self.space.genes)
        assert self.space.size() >= 1

    def test_samples_are_valid_plain_and_reproducible(self) -> None:
        genomes = self.sampled(50)
        assert genomes == self.sampled(50)
        for genome in genomes:
            assert self.space.validate(genome) == genome
            assert type(genome) is tuple
            assert all(type(index) is int for index in genome)
        if self.space.size() > 50:
            assert genomes != self.sampled(50, seed=1)

    def test_sampling_leaves_global_generators_alone(self) -> None:
        numpy_state, torch_state = pickle.dumps(np.random.get_state()), torch.get_rng_state()
        genome = self.sampled(1)[0]
        self.space.costs(genome), self.space.canonical(genome)
        assert pickle.dumps(np.random.get_state()) == numpy_state
        assert torch.equal(torch.get_rng_state(), torch_state)

    def test_validate_refuses_what_is_no_genome(self) -> None:
        genome = list(self.sampled(1)[0])
        options = len(self.space.genes[0].options)
        for broken in ([], genome[:-1], [*genome, 0]):
            with pytest.raises(GenomeError):
                self.space.validate(broken)
        for index in (-1, options, 0.0, "0", None, True):
            with pytest.raises(GenomeError):
                self.space.validate([index, *genome[1:]])  # type: ignore[list-item]

    def test_validate_takes_lists_and_numpy_integers(self) -> None:
        genome = self.sampled(1)[0]
        for given in (list(genome), tuple(np.asarray(genome))):
            valid = self.space.validate(given)
            assert valid == genome
            assert all(type(index) is int for index in valid)

    def test_canonical_is_a_valid_fixed_point(self) -> None:
        for genome in self.sampled(50):
            canonical = self.space.canonical(genome)
            assert self.space.validate(canonical) == canonical
            assert self.space.canonical(canonical) == canonical

    def test_what_is_near_a_combination_of_options_is_in_the_space(self) -> None:
        rng = np.random.default_rng(0)
        bred = [tuple(int(rng.integers(len(gene.options))) for gene in self.space.genes) for _ in range(50)]
        for genome in [*self.sampled(20), *bred]:
            near = self.space.nearest(genome)
            assert near
            assert near == self.space.nearest(genome)
            assert [self.space.validate(other) for other in near] == list(near)
            assert len(set(near)) == len(near)
        assert all(self.space.nearest(genome) == (genome,) for genome in self.sampled(20))

    def test_costs_are_plain_repeatable_numbers(self) -> None:
        for genome in self.sampled(20):
            costs = self.space.costs(genome)
            assert all(type(value) in (int, float) and np.isfinite(value) for value in costs.values())
            assert self.space.costs(genome) == costs

    def test_features_are_finite_numbers_of_the_same_names_for_all(self) -> None:
        genomes = self.sampled(50)
        features = [self.space.features(genome) for genome in genomes]
        assert features == [self.space.features(genome) for genome in genomes]
        assert len({tuple(numbers) for numbers in features}) == 1
        assert all(type(number) is float and np.isfinite(number) for numbers in features for number in numbers.values())
        named = {gene.name for gene in self.space.genes} | self.space.costs(genomes[0]).keys()
        assert not named & features[0].keys()

    def test_activations_are_plain_repeatable_and_positive_or_unknown(self) -> None:
        for genome in self.sampled(20):
            activations = self.space.activations(genome)
            assert activations is None or (type(activations) is int and activations > 0)
            assert self.space.activations(genome) == activations

    def test_describe_names_every_gene(self) -> None:
        genome = self.sampled(1)[0]
        described = self.space.describe(genome)
        assert list(described) == [gene.name for gene in self.space.genes]
        for gene, index in zip(self.space.genes, genome, strict=True):
            assert described[gene.name] == str(gene.options[index])

    def test_smallest_and_largest_bound_the_parameters(self) -> None:
        smallest, largest = self.space.smallest(), self.space.largest()
        assert self.space.validate(smallest) == smallest
        assert self.space.validate(largest) == largest
        low, high = self.space.costs(smallest)["params"], self.space.costs(largest)["params"]
        assert all(low <= self.space.costs(genome)["params"] <= high for genome in self.sampled(200))

    def test_space_survives_pickling(self) -> None:
        self.space.costs(self.space.smallest())  # whatever a space remembers travels, or is computed again
        copy = pickle.loads(pickle.dumps(self.space))
        assert isinstance(hash(self.space), int)
        for genome in self.sampled(20):
            assert copy.costs(genome) == self.space.costs(genome)
            assert copy.canonical(genome) == self.space.canonical(genome)
        assert list(copy.genes) == list(self.space.genes)


class SpaceContract(GenomeContract):
    """Claims about any SearchSpace; a test of a new space is `class TestMine(SpaceContract): space = Mine(...)`.

    A space without the attributes `input_shape` and `classes` overrides `inputs` and `classes`.
    """

    built = 6
    """How many random genomes are built, besides the smallest and the largest."""

    @property
    def classes(self) -> int:
        return int(self.space.classes)  # type: ignore[attr-defined]

    def inputs(self, batch: int) -> torch.Tensor:
        return torch.randn(batch, *self.space.input_shape)  # type: ignore[attr-defined]

    def to_build(self) -> list[Genome]:
        return [self.space.smallest(), self.space.largest(), *self.sampled(self.built)]

    def test_params_and_macs_are_known(self) -> None:
        for genome in self.sampled(20):
            costs = self.space.costs(genome)
            assert min(costs["params"], costs["macs"]) >= 0

    def test_costs_are_those_of_the_built_network(self) -> None:
        for genome in self.to_build():
            with torch.device("meta"):
                network = self.space.build(genome).eval()
                counter = FlopCounterMode(display=False)
                with counter, torch.no_grad():
                    network(self.inputs(1))
            costs = self.space.costs(genome)
            assert costs["params"] == sum(weight.numel() for weight in network.parameters()), genome
            assert costs["macs"] == counter.get_total_flops() / 2, genome

    def test_networks_return_finite_logits_and_gradients(self) -> None:
        for genome in self.to_build():
            torch.manual_seed(0)
            network, inputs = self.space.build(genome), self.inputs(2)
            with torch.no_grad():
                evaluated = network.eval()(inputs)
            trained = network.train()(inputs)
            heads = trained if isinstance(trained, tuple) else (trained,)  # logits and, where there is one, auxiliary
            torch.stack([logits.square().sum() for logits in heads]).sum().backward()
            for logits in (evaluated, *heads):
                assert logits.shape == (2, self.classes), genome
                assert bool(torch.isfinite(logits).all()), genome
            gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
            assert gradients, genome
            assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients), genome

    def test_evaluated_rows_do_not_depend_on_their_batch(self) -> None:
        network, inputs = self.space.build(self.space.largest()).eval(), self.inputs(3)
        with torch.no_grad():
            torch.testing.assert_close(network(inputs)[:1], network(inputs[:1]), rtol=1e-3, atol=1e-4)

    def test_weights_come_from_the_global_generator(self) -> None:
        def states() -> dict[str, torch.Tensor]:
            torch.manual_seed(7)
            state: dict[str, torch.Tensor] = self.space.build(self.space.largest()).state_dict()
            return state

        first, second = states(), states()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
