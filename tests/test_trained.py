"""Candidates trained from scratch: the contract, the same numbers everywhere, and never the test split."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from evaluator_contract import EvaluatorContract
from one_thread import one_thread  # noqa: F401
from tiny_space import TinySpace
from torch import Tensor, nn

from evonas.dataset import Dataset, Split
from evonas.errors import ConfigError, DataError, ResourceError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, Fidelity, Source, evaluate
from evonas.joint_space import JointSpace
from evonas.pareto import untimed
from evonas.space import Genome
from evonas.spaces.cell201 import Cell201
from evonas.workers.datasets import digits
from evonas.workers.devices import DEVICE_VARIABLE
from evonas.workers.recipe import Recipe
from evonas.workers.trained import Trained
from evonas.workers.training import Training

DATA = digits(train_size=200)
GENOME = (2, 1, 1)


class TestTrained(EvaluatorContract):
    def evaluator(self, seed: int) -> Evaluator:
        return Trained(TinySpace(), DATA, seed, epochs=1)


class TestTrainedForABudget(EvaluatorContract):
    budget = 2

    def evaluator(self, seed: int) -> Evaluator:
        return Trained(TinySpace(), DATA, seed, epochs=99, shift=1, cutout=2, label_smoothing=0.1)


class TestTrainedByRecipeGenes(EvaluatorContract):
    def evaluator(self, seed: int) -> Evaluator:
        recipe = {"learning_rate": [0.05, 0.1], "optimizer": ["sgd", "adamw"], "cutout": [0, 2]}
        return Trained(JointSpace(TinySpace(), recipe), DATA, seed, epochs=1)


class Watched(Recipe):
    """Notes the learning rates that a training asks for."""

    rates: ClassVar[list[list[float]]] = []

    def learning_rate_at(self, epoch: float) -> float:
        self.rates[-1].append(Recipe.learning_rate_at(self, epoch))
        return self.rates[-1][-1]


def outcome_of(evaluator: Evaluator) -> object:
    return evaluate(evaluator, Candidate(id=0, genome=GENOME, generation=0))


def test_tiny_space_has_exact_params() -> None:
    space = TinySpace()
    for genome in np.ndindex(3, 3, 2):
        assert space.costs(genome)["params"] == sum(p.numel() for p in space.build(genome).parameters())


def test_more_epochs_learn_more() -> None:
    evaluator = Trained(TinySpace(), digits(), 0, epochs=12)
    short, long = evaluator.measure(GENOME, 1), evaluator.measure(GENOME, None)
    assert long["valid_error"] < 0.15 < short["valid_error"]
    assert long["valid_loss"] < short["valid_loss"]
    assert (short["epochs"], long["epochs"]) == (1.0, 12.0)
    assert long["seconds"] > short["seconds"] > 0


@pytest.mark.parametrize(
    "chosen", [{"learning_rate": 0.03, "optimizer": "adamw"}, {"epochs": 2, "cutout": 3}, {"label_smoothing": 0.1}]
)
def test_a_recipe_that_the_genome_chooses_trains_as_one_that_the_experiment_says(
    chosen: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trained, "seed_for", lambda evaluator, genome: 5)  # which the recipe's genes are a part of
    plain = {"learning_rate": 0.1, "optimizer": "sgd", "epochs": 1, "cutout": 0, "label_smoothing": 0.0}
    joint = JointSpace(TinySpace(), {name: [plain[name], option] for name, option in chosen.items()})
    searched = Trained(joint, DATA, 0, epochs=1)
    fixed = Trained(TinySpace(), DATA, 0, **{"epochs": 1, **chosen})  # type: ignore[arg-type]
    default = Trained(TinySpace(), DATA, 0, epochs=1).measure(GENOME, None)
    changed = searched.measure((*GENOME, *[1] * len(chosen)), None)
    assert untimed(changed) == untimed(fixed.measure(GENOME, None)) != untimed(default)
    assert untimed(searched.measure((*GENOME, *[0] * len(chosen)), None)) == untimed(default)


class TestTrainedOnRungs(EvaluatorContract):
    """Each evaluator has a folder of its own: what is asked for again is continued from what is there."""

    budget = 1

    def evaluator(self, seed: int) -> Evaluator:
        return Trained(TinySpace(), DATA, seed, self.folders.mktemp("run"), epochs=3, rungs=[1, 2], shift=1)

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.folders = tmp_path_factory


def climbing(folder: Path | None, **options: object) -> Trained:
    """Return what another worker of the same run would build."""
    given = {"epochs": 4, "rungs": [1, 3], "shift": 1, "drop_path": 0.0, **options}
    return Trained(TinySpace(), DATA, 5, folder, **given)  # type: ignore[arg-type]


def kept(folder: Path) -> int:
    return len(list((folder / "weights").iterdir()))


def test_a_budget_stops_the_schedule_of_the_whole_recipe() -> None:
    evaluator = Trained(TinySpace(), DATA, 0)
    evaluator.recipe = Watched(epochs=4, batch_size=200, learning_rate=0.1)
    for budget in (None, 2):
        Watched.rates.append([])
        evaluator.measure(GENOME, budget)
    whole, part = Watched.rates
    assert (len(set(whole)), part) == (4, whole[: len(whole) // 2])


def test_climbing_equals_training_from_scratch_wherever_it_goes_on(tmp_path: Path) -> None:
    scratch = climbing(None, rungs=[])
    for budget in (1, 3, None):
        assert untimed(climbing(tmp_path).measure(GENOME, budget)) == untimed(scratch.measure(GENOME, budget))
        assert kept(tmp_path) == (0 if budget is None else 1), "the last rung, until the network is trained to its end"


def test_what_a_lower_rung_has_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(Training, "_epoch", lambda training, epoch: epochs.append(epoch) or 1.0)
    for budget in (1, 3, 3, None):
        climbing(tmp_path).measure(GENOME, budget)
        epochs.append(-1)
    assert epochs == [0, -1, 1, 2, -1, -1, 3, -1], "nor by a second worker that is given the same"


@pytest.mark.parametrize("lost", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-9])])
def test_lost_or_torn_weights_cost_time_and_change_no_number(lost: Callable[[Path], object], tmp_path: Path) -> None:
    climbing(tmp_path).measure(GENOME, 1)
    (file,) = (tmp_path / "weights").iterdir()
    lost(file)
    measured = climbing(tmp_path).measure(GENOME, 3)
    assert untimed(measured) == untimed(climbing(None).measure(GENOME, 3))


def test_another_seed_or_network_does_not_go_on_from_these_weights(tmp_path: Path) -> None:
    climbing(tmp_path).measure(GENOME, 1)
    other = (0, 1, 1)
    assert untimed(climbing(tmp_path).measure(other, 3)) == untimed(climbing(None).measure(other, 3))
    again = Trained(TinySpace(), DATA, 6, tmp_path, epochs=4, rungs=[1, 3]).measure(GENOME, 3)
    assert untimed(again) == untimed(Trained(TinySpace(), DATA, 6, epochs=4, rungs=[1, 3]).measure(GENOME, 3))


def test_a_genome_that_chooses_fewer_epochs_than_a_rung_has_reached_its_end_there(tmp_path: Path) -> None:
    space = JointSpace(TinySpace(), {"epochs": [2, 4]})
    evaluator = Trained(space, DATA, 0, tmp_path, epochs=4, rungs=[1, 3])
    scratch = Trained(space, DATA, 0, epochs=4)
    for budget in (1, 3, None):
        assert untimed(evaluator.measure((*GENOME, 0), budget)) == untimed(scratch.measure((*GENOME, 0), budget))
    assert evaluator.measure((*GENOME, 0), 3)["epochs"] == 2.0


class TestTrainedThatInherits(EvaluatorContract):
    def evaluator(self, seed: int) -> Evaluator:
        return Trained(TinySpace(), DATA, seed, epochs=2, inherit="parents", inherited_epochs=1)


PARENT = (2, 1, 0)


def inheriting(folder: Path | None, **options: object) -> Trained:
    """Return what another worker of the same run would build."""
    given = {"epochs": 4, "inherit": "parents", "inherited_epochs": 2, "shift": 1, **options}
    return Trained(TinySpace(), DATA, 5, folder, **given)  # type: ignore[arg-type]


def test_a_child_goes_on_from_its_parent_for_the_end_of_the_schedule(tmp_path: Path) -> None:
    parent = inheriting(tmp_path).measure(PARENT, None)
    assert (parent["epochs"], parent["total_epochs"]) == (4.0, 4.0)
    heir = inheriting(tmp_path)
    heir.recipe = Watched(epochs=4, batch_size=200, learning_rate=0.1)
    Watched.rates.append([])
    child = heir.measure_child(GENOME, None, [PARENT])
    assert (child["epochs"], child["total_epochs"]) == (2.0, 6.0)
    assert list(dict.fromkeys(Watched.rates[-1])) == [Recipe.learning_rate_at(heir.recipe, 3), 0.0]
    grandchild = inheriting(tmp_path).measure_child((2, 2, 1), None, [PARENT, GENOME])
    assert grandchild["total_epochs"] == 8.0, "of the nearest, not the first"


def test_who_has_no_parent_is_trained_as_if_nobody_inherited(tmp_path: Path) -> None:
    alone = inheriting(None, inherit=None).measure(GENOME, None)
    assert untimed(inheriting(tmp_path).measure(GENOME, None)) == untimed({**alone, "total_epochs": 4.0})
    assert "total_epochs" not in {metric.name for metric in inheriting(None, inherit=None).metrics}


def test_a_child_is_the_same_on_any_worker_and_when_it_is_measured_again(tmp_path: Path) -> None:
    inheriting(tmp_path).measure(PARENT, None)
    children = [untimed(inheriting(tmp_path).measure_child(GENOME, None, [PARENT])) for _ in range(2)]
    assert children[0] == children[1] != untimed(inheriting(None).measure(GENOME, None))


def test_an_exact_child_knows_before_it_is_trained_what_its_parent_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Cell201(stem_channels=2, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
    evaluator = Trained(space, DATA, 0, tmp_path, inherit="parents", epochs=2, inherited_epochs=2)
    parent = evaluator.measure((2, 0, 3, 0, 0, 1), None)
    monkeypatch.setattr(Training, "_epoch", lambda training, epoch: 1.0)
    child = evaluator.measure_child((3, 2, 3, 3, 0, 1), None, [(2, 0, 3, 0, 0, 1)])
    assert child["valid_loss"] == pytest.approx(parent["valid_loss"], abs=1e-5)
    assert child["valid_error"] == parent["valid_error"]
    assert evaluator.measure((3, 2, 3, 3, 0, 1), None)["valid_loss"] != pytest.approx(parent["valid_loss"], abs=1e-3)


def test_who_was_stopped_early_is_nobody_s_parent(tmp_path: Path) -> None:
    inheriting(tmp_path).measure(PARENT, 1)
    with pytest.raises(DataError, match="are not whole in"):
        inheriting(tmp_path).measure_child(GENOME, None, [PARENT])
    with pytest.raises(ConfigError, match="takes weights from a run folder"):
        inheriting(None).measure_child(GENOME, None, [PARENT])


def test_fidelities_are_the_rungs_and_the_whole_recipe() -> None:
    trained = Source.TRAINED
    assert list(climbing(None).fidelities) == [Fidelity(trained, 1), Fidelity(trained, 3), Fidelity(trained)]
    assert list(Trained(TinySpace(), DATA, 0).fidelities) == [Fidelity(trained)]
    assert [str(fidelity) for fidelity in climbing(None).fidelities] == [
        "trained, 1 epoch",
        "trained, 3 epochs",
        "trained",
    ]


def test_a_budget_overrides_the_epochs_that_a_genome_chooses() -> None:
    evaluator = Trained(JointSpace(TinySpace(), {"epochs": [1, 3, 100]}), DATA, 0)
    assert evaluator.measure((*GENOME, 1), None)["epochs"] == 3.0
    assert evaluator.measure((*GENOME, 1), 2)["epochs"] == 2.0
    assert evaluator.rehearse((*GENOME, 2)) > evaluator.rehearse((*GENOME, 0)) > 0


def test_accuracy_and_error_are_shares_of_the_validation_split() -> None:
    measured = Trained(TinySpace(), DATA, 0).measure(GENOME, None)
    assert measured["valid_error"] + measured["valid_accuracy"] == pytest.approx(1.0)
    assert (measured["valid_error"] * len(DATA.valid)).is_integer()


def test_search_never_reads_the_test_split() -> None:
    class Untouchable(Split):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"'{name}' of the test split was read")

    sealed = replace(DATA, test=object.__new__(Untouchable))
    evaluator = Trained(TinySpace(), sealed, 0)
    evaluator.rehearse(GENOME)
    assert untimed(evaluator.measure(GENOME, 1)) == untimed(Trained(TinySpace(), DATA, 0).measure(GENOME, 1))


def test_validation_labels_do_not_leak_into_training() -> None:
    shuffled = replace(DATA, valid=Split(DATA.valid.inputs, np.roll(DATA.valid.labels, 1)))
    honest, blind = (Trained(TinySpace(), data, 0).measure(GENOME, 8) for data in (DATA, shuffled))
    assert honest["train_loss"] == blind["train_loss"]
    assert honest["valid_error"] < 0.5 < blind["valid_error"]


def test_memory_is_known_where_the_space_counts_activations() -> None:
    assert Trained(TinySpace(), DATA, 0).memory_bytes(GENOME) is None
    space = Cell201(stem_channels=8, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
    small, large = space.smallest(), space.largest()

    def needed(genome: Genome, **options: object) -> int:
        return Trained(space, DATA, 0, **{"batch_size": 64, **options}).memory_bytes(genome) or 0  # type: ignore[arg-type]

    kept = space.activations(large) - space.activations(small)
    weights = int(space.costs(large)["params"] - space.costs(small)["params"])
    assert needed(large) - needed(small) == 64 * 2 * kept + 14 * weights
    whole = {"mixed_precision": False}
    assert needed(large, **whole) - needed(small, **whole) == 64 * 4 * kept + 12 * weights
    assert needed(large, momentum=0.0) < needed(large) < needed(large, batch_size=128)
    assert needed(large, optimizer="adamw") - needed(large) == 4 * int(space.costs(large)["params"]), "a second moment"
    joint = JointSpace(space, {"batch_size": [64, 128], "optimizer": ["sgd", "adamw"]})
    by_genes = Trained(joint, DATA, 0, batch_size=64)
    assert by_genes.memory_bytes((*large, 1, 0)) == needed(large, batch_size=128)
    assert by_genes.memory_bytes((*large, 0, 1)) == needed(large, optimizer="adamw")
    assert needed(large, batch_size=len(DATA.train)) == needed(large, batch_size=10**6), "there are no more examples"


PROCESS = """
import json, sys, torch
from evonas.pareto import untimed
from evonas.workers.datasets import digits
from evonas.workers.trained import Trained
from tiny_space import TinySpace
torch.set_num_threads(1)
evaluator = Trained(TinySpace(), digits(train_size=200), 7, epochs=2, shift=1, flip=True)
genomes = [tuple(genome) for genome in json.loads(sys.argv[1])]
print(json.dumps({str(genome): untimed(evaluator.measure(genome, None)) for genome in genomes}, sort_keys=True))
"""


def test_two_processes_agree_to_the_bit_in_any_order() -> None:
    genomes = [(0, 1, 1), (2, 2, 1), (1, 0, 0)]
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROCESS, json.dumps(order)],
            cwd=Path(__file__).parent,
            capture_output=True,
            check=True,
        ).stdout
        for order in (genomes, genomes[::-1])
    ]
    assert said[0] == said[1]
    assert len(json.loads(said[0])) == 3


def test_construction_loads_neither_torch_nor_sklearn() -> None:
    code = """
import sys, numpy as np
from evonas.dataset import Dataset
from evonas.spaces.cell201 import Cell201
from evonas.workers.trained import Trained
from tiny_space import TinySpace
data = Dataset.from_arrays("toy", np.zeros((100, 1, 8, 8)), np.arange(100) % 10)
Trained(TinySpace(), data, 0)
Trained(space := Cell201(input_shape=(1, 8, 8)), data, 0).memory_bytes(space.largest())
sys.exit(bool({"torch", "sklearn"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0


def test_a_loss_that_explodes_is_a_failure_that_names_the_step() -> None:
    outcome = outcome_of(Trained(TinySpace(), DATA, 0, learning_rate=1e30, warmup_epochs=0.0))
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.NOT_FINITE
    assert "in epoch 1, step 2" in outcome.reason


@dataclass(frozen=True)
class _SpaceWith(TinySpace):
    """Builds one network for every genome."""

    network: type[nn.Module] = nn.Module

    def build(self, genome: Genome) -> nn.Module:
        return self.network()


class _Hungry(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.empty(10**15)


class _Mistaken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(63, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs.flatten(1))
        return logits


def test_a_network_that_needs_too_much_memory_is_a_failure_of_that_kind() -> None:
    outcome = outcome_of(Trained(_SpaceWith(network=_Hungry), DATA, 0))
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.OUT_OF_MEMORY


def test_a_network_that_cannot_run_is_a_failure_with_its_traceback() -> None:
    outcome = outcome_of(Trained(_SpaceWith(network=_Mistaken), DATA, 0))
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.ERROR
    assert "in forward" in outcome.reason


def test_a_space_with_other_classes_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one logit a class: digits has 10 classes, .* shape \(2, 11\)"):
        outcome_of(Trained(TinySpace(classes=11), DATA, 0))


def test_tables_are_trained_too() -> None:
    class Perceptron(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    table = Dataset.from_arrays("table", DATA.train.inputs.reshape(-1, 64).astype(float), DATA.train.labels)
    outcome = outcome_of(Trained(_SpaceWith(network=Perceptron), table, 0, batch_size=16))
    assert isinstance(outcome, Evaluation)
    assert outcome.metrics["valid_error"] < 0.3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "'epochs' must be 1 or more"),
        ({"learning_rate": -0.1}, "'learning_rate' must be above 0, and is -0.1"),
        ({"shift": 8}, "'shift' must be smaller than the images, 8 pixels, and is 8"),
        ({"cutout": 9}, "'cutout' must be at most the images' size, 8 pixels"),
        ({"rungs": [3, 1]}, "'rungs' must be ascending numbers of epochs, from 1 to below the recipe's 8, and is"),
        ({"rungs": [1, 8]}, "'rungs' must be ascending numbers of epochs, from 1 to below the recipe's 8, and is"),
        ({"rungs": [0, 2]}, "'rungs' must be ascending"),
        ({"inherit": "parents", "inherited_epochs": 9}, "'inherited_epochs' must be 1 to the recipe's 8, and is 9"),
        ({"inherit": "parents", "inherited_epochs": 0}, "'inherited_epochs' must be 1 to the recipe's 8, and is 0"),
        ({"inherit": "parents", "rungs": [1]}, "'inherit' and 'rungs' exclude each other"),
    ],
)
def test_options_out_of_range_are_refused_at_once(options: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Trained(TinySpace(), DATA, 0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"flip": True}, {"shift": 1}, {"cutout": 1}])
def test_tables_cannot_be_augmented(options: dict[str, int]) -> None:
    table = Dataset.from_arrays("table", np.zeros((40, 5)), np.arange(40) % 2)
    with pytest.raises(ConfigError, match="are for images, and inputs have the shape"):
        Trained(TinySpace(), table, 0, **options)  # type: ignore[arg-type]


def test_cuda_wanted_from_a_worker_without_a_gpu_stops_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    with pytest.raises(ResourceError, match="gave this worker none"):
        outcome_of(Trained(TinySpace(), DATA, 0, device="cuda"))


def test_rehearsal_is_a_fair_estimate() -> None:
    evaluator = Trained(TinySpace(), digits(), 0, epochs=20)
    estimated = min(evaluator.rehearse(GENOME) for _ in range(3))
    seconds = evaluator.measure(GENOME, None)["seconds"]
    assert seconds / 10 < estimated < seconds * 10
