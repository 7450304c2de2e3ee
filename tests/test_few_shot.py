"""Few-shot supernets: the gene whose options disagree is split, in the groups that agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from plain_supernet import PlainSpace, plain_experiment
from signed_space import Signed, SignedSupernet
from supernet_steps import EXAMPLES, LEARNER, SPACE, supernet, training
from torch import nn

from evonas import config_supernet, supernet_run
from evonas.errors import ConfigError
from evonas.space import SearchSpace
from evonas.workers.supernets import files
from evonas.workers.supernets.few_shot import FewShot, agreements, minimum_cut, parts_options
from evonas.workers.supernets.method import Method, Progress
from evonas.workers.supernets.split import SplitSupernet, splits


class TestFewShot(MethodContract):
    epochs = 4

    def method(self, space: SearchSpace, seed: int) -> Method:
        return FewShot(space, seed, splits=2, contexts=1, matched_examples=32)


def begun(method: FewShot, epoch: int, epochs: int, net: nn.Module | None = None) -> nn.Module:
    net = SignedSupernet() if net is None else net
    return method.begin_epoch(net, Progress(epoch, epochs), EXAMPLES, LEARNER)


def test_the_gene_of_two_opposed_groups_is_split_into_these() -> None:
    halves = begun(FewShot(Signed(), 0, warmup=0.5), 1, 2)
    assert isinstance(halves, SplitSupernet)
    assert (halves.gene, halves.second) == (1, (False, True, True, False))


def test_the_next_level_splits_every_part_on_what_disagrees_there() -> None:
    method = FewShot(Signed(), 0, splits=2, warmup=0.2)
    forms = []
    net: nn.Module = SignedSupernet()
    for epoch in range(10):
        net = begun(method, epoch, 10, net)
        forms.append(splits(net)[:, 0].tolist())
    assert forms == [[-1]] * 2 + [[1, -1, -1]] * 4 + [[1, 2, -1, -1, 2, -1, -1]] * 4
    assert len(list(net.parameters())) == 4 * 2


def test_splitting_leaves_no_gradient_behind_and_changes_no_network() -> None:
    net = SignedSupernet()
    nn.init.normal_(net.whole)
    inputs = EXAMPLES.batch(slice(8))[0]
    expected = net.subnet((2, 1, 0))(inputs)
    halves = begun(FewShot(Signed(), 0), 1, 2, net)
    assert all(weight.grad is None for weight in halves.parameters())
    assert torch.equal(halves.subnet((2, 1, 0))(inputs), expected)  # type: ignore[operator]


def test_agreement_is_the_cosine_at_the_weights_that_both_have() -> None:
    one = [torch.tensor([3.0, 4.0]), None, torch.tensor([7.0])]
    other = [torch.tensor([4.0, 3.0]), torch.tensor([5.0]), None]
    apart = [None, torch.tensor([-2.0]), None]
    found = agreements([one, other, apart])
    assert found == pytest.approx(np.array([[1, 0.96, 0], [0.96, 1, -1], [0, -1, 1]]), abs=1e-12)


def test_the_minimum_cut_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    for options in (2, 3, 4, 5, 6):
        similarity = rng.uniform(-1, 1, size=(options, options))
        similarity = (similarity + similarity.T) / 2
        means = []
        for bits in range(2**options):
            second = [place for place in range(options) if bits >> place & 1]
            first = [place for place in range(options) if place not in second]
            if abs(len(first) - len(second)) <= 1 and 0 in first:
                means.append((np.mean([similarity[i, j] for i in first for j in second]), tuple(second)))
        value, group = minimum_cut(similarity)
        assert (pytest.approx(value), group) == min(means)


def test_options_of_the_parts_are_those_of_the_whole() -> None:
    whole = ((0, 1), (0, 2, 3))
    assert parts_options(whole, 1, (False, True, True, False)) == (((0, 1), (0, 3)), ((0, 1), (2,)))


def test_a_part_without_a_choice_left_is_not_split_again() -> None:
    method = FewShot(Signed(), 0, splits=9, warmup=0.1)
    net: nn.Module = SignedSupernet()
    for epoch in range(10):
        net = begun(method, epoch, 10, net)
    leaves = int((splits(net)[:, 0] == -1).sum())
    assert leaves == 3 * 4 * 2  # a part for each network


def test_split_training_takes_as_many_steps_and_trains_all_parts() -> None:
    method, before = FewShot(SPACE, 0, warmup=0.5, contexts=1, matched_examples=32), supernet()
    run = training(method, epochs=4)
    for _ in range(4):
        run.epoch()
    net = run.supernet
    assert isinstance(net, SplitSupernet)
    stems = [dict(part.named_parameters())["weights.stem/0/weight"] for part in net.parts]
    start = dict(before.named_parameters())["weights.stem/0/weight"]
    assert not torch.equal(stems[0], stems[1])
    assert not any(torch.equal(stem, start) for stem in stems)


def test_a_split_supernet_is_read_back_from_its_folder(tmp_path: Path) -> None:
    method = {"use": "evonas.workers.supernets.few_shot:FewShot", "contexts": 1, "matched_examples": 32}
    experiment = config_supernet.parse(plain_experiment(method=method))
    supernet_run.run(experiment, tmp_path / "run", lambda prepared, path: ())
    file = files.load(tmp_path / "run")
    read = files.restored(file, PlainSpace(), file.arrays)
    assert isinstance(read, SplitSupernet)
    first, second = (dict(part.named_parameters())["network.3.weight"] for part in read.parts)
    assert np.array_equal(first.detach().numpy(), file.arrays["weights/parts.0.network.3.weight"])
    assert not torch.equal(first, second)


def test_a_warm_up_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="'warmup' must be a share of the epochs, above 0 and below 1, and is 1"):
        FewShot(SPACE, 0, warmup=1.0)
