"""What needs a GPU: training there is training, memory is what was predicted, and too little of it is told as such."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.dataset import Dataset
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, evaluate
from evonas.space import Genome
from evonas.spaces.cell201 import Cell201
from evonas.workers import examples as examples_module
from evonas.workers.datasets import digits
from evonas.workers.devices import DEVICE_VARIABLE, MemoryMeter, MemoryUse, device_facts
from evonas.workers.examples import Examples
from evonas.workers.gpu_memory import CONTEXT_BYTES, MIB
from evonas.workers.trained import Trained
from evonas.workers.training import seeded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")

GPU = torch.device("cuda", 0)
DATA = digits()
SPACE = Cell201(stem_channels=8, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
GENOME: Genome = (3, 1, 4, 2, 3, 3)


@pytest.fixture(autouse=True)
def _device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a pool would say it; and nothing of one test lies on the device in the next."""
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda:0")
    yield
    gc.collect()
    torch.cuda.empty_cache()


def outcome_of(evaluator: Trained, genome: Genome = GENOME) -> Evaluation | Failure:
    outcome = evaluate(evaluator, Candidate(id=0, genome=genome, generation=0))
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def measured(evaluator: Trained, genome: Genome) -> MemoryUse:
    with MemoryMeter("cuda:0") as meter:
        outcome = outcome_of(evaluator, genome)
    assert isinstance(outcome, Evaluation), outcome
    assert meter.use is not None
    return meter.use


@pytest.mark.parametrize("mixed_precision", ["auto", False])
def test_training_on_a_gpu_comes_to_about_the_same_error_as_on_a_cpu(mixed_precision: bool | str) -> None:
    on_gpu = Trained(SPACE, DATA, 0, epochs=10, mixed_precision=mixed_precision, device="cuda")  # type: ignore[arg-type]
    on_cpu = Trained(SPACE, DATA, 0, epochs=10, device="cpu")
    gpu, cpu = on_gpu.measure(GENOME, None), on_cpu.measure(GENOME, None)
    assert gpu["valid_error"] == pytest.approx(cpu["valid_error"], abs=0.05)
    assert gpu["train_loss"] == pytest.approx(cpu["train_loss"], rel=0.5)


def test_float32_is_float32_and_the_flags_are_as_before_afterwards() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    left, right = torch.rand(512, 512, device=GPU), torch.rand(512, 512, device=GPU)
    exact = left.double() @ right.double()
    with seeded(0, GPU):
        assert not torch.backends.cudnn.allow_tf32
        torch.testing.assert_close((left @ right).double(), exact, rtol=1e-5, atol=1e-3)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


def test_data_that_stays_on_the_host_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = Examples.of(DATA, DATA.train, GPU)
    monkeypatch.setattr(examples_module, "_SHARE", 0.0)
    hosted = Examples.of(DATA, DATA.train, GPU)
    assert (resident.inputs.device, hosted.inputs.device) == (GPU, torch.device("cpu"))
    rows = hosted.shuffled(9, torch.Generator().manual_seed(0))
    of_the_host = hosted.batches([*rows, slice(5, 50)])
    of_the_device = resident.batches([*(some.to(GPU) for some in rows), slice(5, 50)])
    for (inputs, labels), (same_inputs, same_labels) in zip(of_the_host, of_the_device, strict=True):
        assert torch.equal(inputs, same_inputs)
        assert torch.equal(labels, same_labels)


def test_predicted_memory_is_that_of_training_within_a_factor() -> None:
    """The images are large enough for activations to outweigh what libraries take."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (600, 3, 32, 32), generator=generator, dtype=torch.uint8).numpy()
    data = Dataset.from_arrays("noise", images, torch.arange(600).numpy() % 10)
    space = Cell201()
    evaluator = Trained(space, data, 0, epochs=1, batch_size=256)
    for genome in (space.smallest(), GENOME, space.largest()):
        use, predicted = measured(evaluator, genome), evaluator.memory_bytes(genome)
        assert predicted is not None
        assert predicted / 4 < use.peak_bytes < predicted * 2, genome


def test_what_stays_is_told_apart_from_what_an_evaluation_takes() -> None:
    evaluator = Trained(SPACE, DATA, 0, epochs=1)
    first, second = measured(evaluator, GENOME), measured(evaluator, GENOME)
    assert CONTEXT_BYTES < first.standing_bytes < CONTEXT_BYTES + 256 * MIB
    assert second.standing_bytes == first.standing_bytes
    assert second.peak_bytes <= 1.5 * first.peak_bytes


@dataclass(frozen=True)
class _Greedy(Cell201):
    """Networks that keep more than any device has."""

    def build(self, genome: Genome) -> nn.Module:
        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(64, 10)
                self.kept: list[Tensor] = []

            def forward(self, inputs: Tensor) -> Tensor:
                if self.training:
                    whole = torch.cuda.mem_get_info()[1]
                    self.kept += [torch.empty(whole // 8, dtype=torch.uint8, device=inputs.device) for _ in range(9)]
                logits: Tensor = self.linear(inputs.flatten(1))
                return logits

        return Network()


def test_out_of_memory_is_a_failure_of_that_kind_and_gives_all_of_it_back() -> None:
    with MemoryMeter("cuda:0") as meter:
        outcome = outcome_of(Trained(_Greedy(input_shape=(1, 8, 8)), DATA, 0))
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.OUT_OF_MEMORY
    assert meter.use is not None
    assert meter.use.standing_bytes < CONTEXT_BYTES + 256 * MIB


def test_a_device_has_a_name_that_all_processes_know() -> None:
    facts = device_facts("cuda:0")
    assert facts is not None
    assert len(facts.uuid) > 10
    assert 0 < facts.available_bytes <= facts.total_bytes
