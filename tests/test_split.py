"""Split supernets: each part has weights of its own, and the form can be written down and built again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from supernet_steps import LEARNER, SPACE, batch, supernet
from torch import nn

from evonas.space import Genome
from evonas.workers.supernets.split import SplitSupernet, split, split_as, splits

SECOND = (False, True, False, True, False)


def gradient_of(net: nn.Module, genome: Genome) -> set[str]:
    net.zero_grad()
    LEARNER.backward(LEARNER.logits(net.subnet(genome), batch().inputs).square().sum())  # type: ignore[operator]
    return {name for name, weight in net.named_parameters() if weight.grad is not None}


def test_both_parts_begin_with_the_weights_of_the_whole() -> None:
    whole, inputs = supernet(), batch().inputs
    expected = {genome: LEARNER.logits(whole.subnet(genome), inputs) for genome in ((3,) * 6, (2,) * 6)}
    parts = split(whole, 0, SECOND)
    assert len(list(parts.parameters())) == 2 * len(list(whole.parameters()))
    for genome, logits in expected.items():
        assert torch.equal(LEARNER.logits(parts.subnet(genome), inputs), logits)


@pytest.mark.parametrize("option", range(5))
def test_a_genome_trains_the_part_of_its_option_alone(option: int) -> None:
    used = gradient_of(split(supernet(), 3, SECOND), (3, 3, 3, option, 3, 3))
    assert used
    assert {name.split(".")[1] for name in used} == {str(int(SECOND[option]))}


def test_a_supernet_of_the_same_form_takes_the_weights_of_a_split_one() -> None:
    one = split(supernet(), 0, SECOND)
    other = split(one.parts[1], 4, (False, False, False, False, True))
    nested = SplitSupernet(0, SECOND, (one.parts[0], other))
    with torch.no_grad():
        for weight in nested.parameters():
            weight.add_(torch.randn_like(weight))
    table = splits(nested)
    assert table.tolist() == [[0, 0, 1, 0, 1, 0], [-1] * 6, [4, 0, 0, 0, 0, 1], [-1] * 6, [-1] * 6]
    again = split_as(supernet(seed=7), table)
    again.load_state_dict(nested.state_dict())
    assert np.array_equal(splits(again), table)
    rng, inputs = np.random.default_rng(0), batch().inputs
    for genome in (SPACE.sample(rng) for _ in range(10)):
        logits = [LEARNER.logits(net.subnet(genome), inputs) for net in (nested, again)]  # type: ignore[operator]
        assert torch.equal(*logits)


def test_what_is_not_split_has_a_form_too() -> None:
    net = supernet()
    assert split_as(net, splits(net)) is net
