"""Progressive shrinking: genes are free from their phase on, and the largest network is the teacher throughout."""

from __future__ import annotations

import pytest
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from supernet_steps import EXAMPLES, LEARNER, SPACE, batch, supernet
from torch import nn

from evonas.errors import ConfigError
from evonas.seeds import generator
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.workers.supernets.method import Method, Progress
from evonas.workers.supernets.progressive_shrinking import ProgressiveShrinking

PHASES = [["kernel*"], ["depth"], ["width_?"]]


class TestProgressiveShrinking(MethodContract):
    def method(self, space: SearchSpace, seed: int) -> Method:
        return ProgressiveShrinking(space, seed, phases=[["kernel"], ["*"]])


class Elastic(SearchSpace):
    """Blocks as `mobile` has them, without networks."""

    genes = tuple(Gene(name, (1, 2, 3)) for name in ("depth", "kernel_1", "width_1", "kernel_2", "width_2"))

    def build(self, genome: Genome) -> nn.Module:
        raise NotImplementedError

    def costs(self, genome: Genome) -> Metrics:
        return {"params": float(sum(genome)), "macs": float(sum(genome))}


def seen(method: ProgressiveShrinking, epoch: int, epochs: int) -> list[set[int]]:
    """Return the options that each gene has had among many students of an epoch."""
    method.begin_epoch(nn.Module(), Progress(epoch, epochs), EXAMPLES, LEARNER)
    students = method.students(nn.Module(), batch(), LEARNER, generator(epoch, "step"))
    return [set(options) for options in zip(*students, strict=True)]


def test_each_phase_frees_its_genes_and_keeps_what_is_free() -> None:
    method = ProgressiveShrinking(Elastic(), 0, phases=PHASES, random_subnets=100)
    free, fixed = {0, 1, 2}, {2}
    for epoch in range(8):
        phase = epoch // 2
        expected = [
            free if phase >= {"kernel": 1, "depth": 2, "width": 3}[gene.name.partition("_")[0]] else fixed
            for gene in Elastic.genes
        ]
        assert seen(method, epoch, 8) == (expected if phase else [])


def test_shares_are_those_of_the_epochs() -> None:
    method = ProgressiveShrinking(Elastic(), 0, phases=PHASES, shares=[5, 2, 2, 1], random_subnets=100)
    choices = [sum(map(len, seen(method, epoch, 10))) for epoch in range(10)]
    assert choices == [0, 0, 0, 0, 0, 9, 9, 11, 11, 15]


def test_an_epoch_of_the_first_phase_trains_the_largest_network_alone() -> None:
    method, net = ProgressiveShrinking(SPACE, 0, phases=[["*"]]), supernet()
    method.begin_epoch(net, Progress(0, 2), EXAMPLES, LEARNER)
    method.step(net, batch(), LEARNER, generator(0, "step"))
    used = [name for name, weight in net.named_parameters() if weight.grad is not None]
    assert used
    assert not any("conv_1x1" in name for name in used)


def test_phases_that_leave_a_gene_out_or_name_none_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no phase frees width_1, width_2: .* add a last phase \['\*'\]"):
        ProgressiveShrinking(Elastic(), 0, phases=PHASES[:2])
    with pytest.raises(ConfigError, match="no gene of the space is named 'dept'; did you mean 'depth'"):
        ProgressiveShrinking(Elastic(), 0, phases=[["dept"], ["*"]])
    with pytest.raises(ConfigError, match="'shares' must be 4 numbers above 0"):
        ProgressiveShrinking(Elastic(), 0, phases=PHASES, shares=[1, 2, 3])


def test_too_few_epochs_for_the_phases_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'epochs: 3' are too few: .* each of the 3 phases need an epoch"):
        ProgressiveShrinking(Elastic(), 0, phases=PHASES).check(3)
