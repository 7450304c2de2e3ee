"""PA&DA: paths and examples are drawn by their gradient norms, and weighted so that the gradient stays unbiased."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from signed_space import Signed, SignedSupernet
from supernet_steps import EXAMPLES, LEARNER, SPACE, batch, supernet
from torch import nn
from torch.nn import functional

from evonas.seeds import generator
from evonas.space import SearchSpace
from evonas.workers.supernets.importance import ImportanceSampling, mixed
from evonas.workers.supernets.method import Method, Progress, Rows, subnet_of


class TestImportanceSampling(MethodContract):
    def method(self, space: SearchSpace, seed: int) -> Method:
        return ImportanceSampling(space, seed)


def begun(method: ImportanceSampling, epoch: int, epochs: int) -> ImportanceSampling:
    method.begin_epoch(nn.Module(), Progress(epoch, epochs), EXAMPLES, LEARNER)
    return method


def test_the_first_epoch_is_uniform() -> None:
    method = begun(ImportanceSampling(SPACE, 0), 0, 4)
    assert [p.tolist() for p in method.path_probabilities()] == [[0.2] * 5] * 6
    assert method.path(generator(0, "path"))[1] == pytest.approx(1.0)
    for rows in method.rows(96, 32, generator(0, "rows")):
        assert rows.weights == pytest.approx(np.ones(32))


def test_probabilities_are_those_of_the_gradient_norms_computed_by_hand() -> None:
    method, net, rng = begun(ImportanceSampling(SPACE, 0), 0, 4), supernet(), generator(0, "step")
    norms: dict[tuple[int, int], list[float]] = {}
    for start in (0, 32, 64):
        same = generator(0, "step")
        same.bit_generator.state = rng.bit_generator.state
        rows = Rows(np.arange(start, start + 32))
        net.zero_grad()
        method.step(net, batch(rows), LEARNER, rng)
        genome, _ = method.path(same)
        gradients = torch.cat([w.grad.flatten() for w in net.parameters() if w.grad is not None])
        for gene, option in enumerate(genome):
            norms.setdefault((gene, option), []).append(float(gradients.square().sum().sqrt()))
    begun(method, 1, 4)

    for gene, probabilities in enumerate(method.path_probabilities()):
        means = [np.mean(norms.get((gene, option), [np.nan])) for option in range(5)]
        filled = np.where(np.isnan(means), np.nanmean(means), means)
        assert probabilities == pytest.approx(0.25 * filled / filled.sum() + 0.75 / 5, rel=1e-5)

    subnet = subnet_of(net, SPACE.canonical(genome))  # the weights have not changed: no step was taken
    seen = batch(rows)
    logits = LEARNER.logits(subnet, seen.inputs).detach()
    by_hand = (logits.softmax(dim=1) - functional.one_hot(seen.labels, 10)).square().sum(dim=1).sqrt()
    assert method.state()["data_norms"][64:] == pytest.approx(by_hand.numpy(), rel=1e-5)
    data = method.state()["data_norms"]
    assert method.data_probabilities() == pytest.approx(0.25 * data / data.sum() + 0.75 / 96)


def test_the_share_of_the_norms_grows_with_the_epochs_and_zero_norms_are_no_division() -> None:
    norms = np.array([1.0, 3.0])
    assert mixed(norms, 0.0).tolist() == [0.5, 0.5]
    assert mixed(norms, 0.5).tolist() == [0.375, 0.625]
    assert mixed(norms, 1.0).tolist() == [0.25, 0.75]
    assert mixed(np.zeros(2), 1.0).tolist() == [0.5, 0.5]


def skewed() -> ImportanceSampling:
    """Return a method that has seen very different norms."""
    rng, method = np.random.default_rng(3), ImportanceSampling(SPACE, 0)
    seen = {
        "path_sums": rng.uniform(0.2, 3, size=(6, 5)),
        "path_counts": np.ones((6, 5)),
        "data_norms": rng.uniform(0.1, 3, size=96),
    }
    method.restore(nn.Module(), seen)
    return begun(method, 9, 10)


def test_options_and_examples_are_drawn_as_probable_as_they_are() -> None:
    method, rng = skewed(), generator(0, "draws")
    genomes = np.array([method.path(rng)[0] for _ in range(3000)])
    for gene, probabilities in enumerate(method.path_probabilities()):
        assert np.bincount(genomes[:, gene], minlength=5) / 3000 == pytest.approx(probabilities, abs=0.04)
    drawn = np.concatenate([rows.indices for _ in range(200) for rows in method.rows(96, 32, rng)])
    assert np.bincount(drawn, minlength=96) / len(drawn) == pytest.approx(method.data_probabilities(), abs=0.006)


def test_the_estimate_of_the_full_gradient_is_unbiased() -> None:
    space, net, rng = Signed(), SignedSupernet(), np.random.default_rng(3)
    for weight in net.parameters():
        weight.data = torch.from_numpy(rng.normal(size=weight.shape) * 0.1).float()
    method = ImportanceSampling(space, 0)
    sums, norms = np.array([[1, 2, 3, 0], [3, 0.5, 0.5, 3], [3, 0.5, 0, 0]]), rng.uniform(0, 2, size=96)
    seen = {"path_sums": sums, "path_counts": np.ones((3, 4)), "data_norms": norms}
    method.restore(net, seen)
    begun(method, 8, 10)

    def gradient() -> np.ndarray:
        return torch.cat([weight.grad.flatten() for weight in net.parameters() if weight.grad is not None]).numpy()

    def expected(paths: list[np.ndarray], data: np.ndarray) -> np.ndarray:
        net.zero_grad()
        everything = batch(Rows(np.arange(96)))
        for genome in product(range(3), range(4), range(2)):
            losses = LEARNER.label_losses(LEARNER.logits(net.subnet(genome), everything.inputs), everything.labels)
            probability = float(np.prod([p[option] for p, option in zip(paths, genome, strict=True)]))
            LEARNER.backward(probability * (torch.from_numpy(data) * losses).sum())
        return gradient().copy()

    full = expected([np.full(n, 1 / n) for n in (3, 4, 2)], np.full(96, 1 / 96))
    bias = expected(method.path_probabilities(), method.data_probabilities()) - full

    def deviation(weighted: bool) -> float:
        """Return by how many standard errors the mean of many steps is off, in the direction of the bias."""
        found = []
        for draw in range(300):
            method.restore(net, seen)
            rows = method.rows(96, 16, generator(draw, "rows"))[0]
            net.zero_grad()
            method.step(net, batch(rows if weighted else Rows(rows.indices)), LEARNER, generator(draw, "step"))
            weight = 1.0 if weighted else method.path(generator(draw, "step"))[1]
            found.append((gradient() / weight - full) @ bias)
        return float(np.mean(found) / (np.std(found) / np.sqrt(len(found))))

    assert abs(deviation(weighted=True)) < 3
    assert deviation(weighted=False) > 6


def test_a_step_adds_the_weighted_gradient_of_its_path() -> None:
    method, net = skewed(), supernet()
    rows = method.rows(96, 32, generator(0, "rows"))[1]
    genome, weight = method.path(generator(2, "step"))
    assert weight != pytest.approx(1.0, abs=0.05)
    method.step(net, batch(rows), LEARNER, generator(2, "step"))
    found = [w.grad for w in net.parameters()]
    net.zero_grad()
    seen = batch(rows)
    losses = functional.cross_entropy(
        LEARNER.logits(subnet_of(net, SPACE.canonical(genome)), seen.inputs), seen.labels, reduction="none"
    )
    (weight / 32 * sum(w * loss for w, loss in zip(rows.weights, losses, strict=True))).backward()
    for one, other in zip(found, (w.grad for w in net.parameters()), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
