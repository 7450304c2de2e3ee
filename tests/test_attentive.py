"""AttentiveNAS: the worst or best of several subnets of like cost is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from supernet_steps import BATCH_SIZE, EXAMPLES, LEARNER, SPACE, batch, supernet
from torch import nn

from evonas.errors import ConfigError
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.workers.supernets.attentive import AttentiveNAS
from evonas.workers.supernets.method import Method, Progress


class TestAttentiveNAS(MethodContract):
    epochs = 2

    def method(self, space: SearchSpace, seed: int) -> Method:
        return AttentiveNAS(space, seed)


def begun(pick: str = "worst", **options: int) -> tuple[AttentiveNAS, nn.Module]:
    method, net = AttentiveNAS(SPACE, 0, pick=pick, **options), supernet()  # type: ignore[arg-type]
    return method, method.begin_epoch(net, Progress(0, 1), EXAMPLES, LEARNER)


def loss(net: nn.Module, genome: Genome, examples: int) -> float:
    inputs, labels = batch().inputs[:examples], batch().labels[:examples]
    with torch.no_grad():
        logits = LEARNER.logits(net.subnet(genome), inputs)  # type: ignore[operator]
        return float(LEARNER.label_losses(logits, labels).mean())


@pytest.mark.parametrize("pick", ["worst", "best"])
def test_the_picked_is_the_extreme_of_all_that_could_be_drawn(pick: str) -> None:
    whole_bucket = 25  # of 40: a bucket is drawn as a whole
    method, net = begun(pick, candidates=whole_bucket, buckets=40, random_subnets=1, judged_examples=BATCH_SIZE)
    smallest, picked = method.students(net, batch(), LEARNER, generator(5, "step"))
    assert smallest == SPACE.smallest()
    extremes = []
    for bucket in (part for part in method.buckets_of_networks if picked in part):
        losses = {genome: loss(net, genome, BATCH_SIZE) for genome in bucket}
        extremes.append((max if pick == "worst" else min)(losses, key=losses.__getitem__))
    assert picked in extremes


def test_all_candidates_of_a_pick_cost_about_the_same_and_every_cost_is_drawn_equally_often() -> None:
    method, net = begun(random_subnets=60, candidates=2, judged_examples=2)
    bounds = [[SPACE.costs(g)["macs"] for g in (part[0], part[-1])] for part in method.buckets_of_networks]
    assert bounds == sorted(bounds)
    picked = method.students(net, batch(), LEARNER, generator(0, "step"))[1:]
    below_median = np.mean([SPACE.costs(genome)["macs"] < bounds[5][0] for genome in picked])
    assert len(picked) == 60
    assert below_median == pytest.approx(0.5, abs=0.2)


def test_only_the_judged_examples_are_looked_at() -> None:
    chosen = []
    for poisoned in (False, True):
        method, net = begun(judged_examples=8)
        seen = batch()
        if poisoned:
            seen.inputs[8:] = 1e3
        chosen.append(method.students(net, seen, LEARNER, generator(0, "step")))
    assert chosen[0] == chosen[1]


def test_judging_leaves_no_gradient_behind() -> None:
    method, net = begun()
    method.students(net, batch(), LEARNER, generator(0, "step"))
    assert all(weight.grad is None for weight in net.parameters())


def test_more_candidates_than_a_bucket_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="'buckets' must be 1 to 10, and is 11"):
        AttentiveNAS(SPACE, 0, candidates=100, buckets=11)
