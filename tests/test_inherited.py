"""Candidates scored on a supernet's weights: the contract, the numbers by hand, and memory that nobody writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluator_contract import EvaluatorContract
from one_thread import one_thread  # noqa: F401
from pool_contract import run, timeless
from ray_fixture import ray_cluster as ray_cluster  # a fixture
from torch.nn import functional
from trained_supernet import CONFIG, DATA, SPACE, train_supernet
from watched import hash_of

from evonas import config
from evonas.compose import Search, prepare
from evonas.errors import ConfigError, DataError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Source, evaluate
from evonas.joint_space import JointSpace
from evonas.pareto import untimed
from evonas.seeds import generator
from evonas.supernet_folder import WEIGHTS
from evonas.workers.datasets import digits
from evonas.workers.inherited import Inherited
from evonas.workers.local_pool import LocalPool
from evonas.workers.ray_pool import RayPool
from evonas.workers.supernets import files

GENOME = (3, 0, 2, 1, 3, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_supernet(tmp_path_factory.mktemp("supernet"), epochs=3)


@pytest.mark.usefixtures("given_folder")
class TestInherited(EvaluatorContract):
    folder: Path

    @pytest.fixture
    def given_folder(self, folder: Path) -> None:
        type(self).folder = folder

    def evaluator(self, seed: int) -> Evaluator:
        return Inherited(SPACE, DATA, seed, supernet=self.folder, calibration_examples=100)


class TestFineTuned(TestInherited):
    def evaluator(self, seed: int) -> Evaluator:
        return Inherited(SPACE, DATA, seed, supernet=self.folder, calibration_examples=64, fine_tune_epochs=1)


def test_numbers_are_those_of_the_network_by_itself_on_the_weights_of_the_file(folder: Path) -> None:
    evaluator = Inherited(SPACE, DATA, 5, supernet=folder, calibration_examples=90, batch_size=90)
    measured = evaluator.measure(GENOME, None)
    weights = files.load(folder).arrays
    network, state = SPACE.build(GENOME), {}
    operations = {"edge_0_1": "conv_3x3", "edge_1_2": "conv_1x1", "edge_1_3": "conv_3x3", "edge_2_3": "conv_1x1"}
    for path, _ in network.named_parameters():
        edge = next((edge for edge in operations if edge in path), None)
        shared = path if edge is None else path.replace(edge, f"{edge}.{operations[edge]}")
        state[path] = torch.from_numpy(np.array(weights[f"weights/weights.{shared.replace('.', '/')}"]))
    network.load_state_dict(state, strict=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # keeps the last batch alone
    mean, std = DATA.normalisation()
    images = {
        name: torch.from_numpy(((split.inputs - mean[:, None, None]) / std[:, None, None]).astype(np.float32))
        for name, split in (("train", DATA.train), ("valid", DATA.valid))
    }
    drawn = generator(5, "calibration").permutation(200)[:90]
    labels = torch.from_numpy(DATA.valid.labels)
    with torch.no_grad():
        network.train()(images["train"][drawn])
        logits = network.eval()(images["valid"])
    assert measured["valid_error"] == pytest.approx((logits.argmax(dim=1) != labels).double().mean().item())
    assert measured["valid_loss"] == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-4)
    assert measured["valid_accuracy"] == 1.0 - measured["valid_error"]
    assert measured["epochs"] == 0.0


def test_a_part_of_the_valid_split_is_the_same_for_all_networks_and_differs_between_runs(folder: Path) -> None:
    some = [Inherited(SPACE, DATA, seed, supernet=folder, valid_examples=20) for seed in (0, 0, 1)]
    parts = [evaluator._resident.valid.inputs for evaluator in some]
    assert [len(part) for part in parts] == [20] * 3
    assert torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])
    assert some[0].measure(GENOME, None)["valid_error"] * 20 % 1 == 0.0
    more, everything = (
        Inherited(SPACE, DATA, 0, supernet=folder, valid_examples=n).measure(GENOME, None) for n in (9999, None)
    )
    assert more["valid_error"] == everything["valid_error"]


def test_fine_tuning_trains_a_copy_for_as_many_epochs_as_it_says(folder: Path) -> None:
    evaluator = Inherited(SPACE, DATA, 0, supernet=folder, fine_tune_epochs=12, batch_size=32, learning_rate=0.05)
    tuned, inherited, other = (evaluator.measure(GENOME, budget) for budget in (None, 0, 2))
    assert (tuned["epochs"], inherited["epochs"], other["epochs"]) == (12.0, 0.0, 2.0)
    assert tuned["valid_loss"] < 0.8 * inherited["valid_loss"]
    assert untimed(inherited) == untimed(
        Inherited(SPACE, DATA, 0, supernet=folder, batch_size=32).measure(GENOME, None)
    )
    outcome = evaluate(evaluator, Candidate(0, GENOME, 0))
    assert isinstance(outcome, Evaluation)
    assert outcome.source is Source.INHERITED


def test_genes_of_a_recipe_change_nothing(folder: Path) -> None:
    joint = JointSpace(SPACE, {"learning_rate": [0.1, 0.2]})
    plain, with_recipe = (Inherited(space, DATA, 0, supernet=folder, batch_size=90) for space in (SPACE, joint))
    measured = untimed(plain.measure(GENOME, None))
    assert [untimed(with_recipe.measure((*GENOME, option), None)) for option in (0, 1)] == [measured] * 2


def test_the_file_or_its_folder_may_be_named_and_gives_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    by_folder, by_file = (Inherited(SPACE, DATA, 0, supernet=path) for path in (folder, folder / WEIGHTS))
    assert by_folder.fingerprint() == by_file.fingerprint()
    assert Inherited(SPACE, DATA, 0, supernet=train_supernet(tmp_path)).fingerprint() != by_file.fingerprint()


def search(folder: Path, **options: Any) -> Search:
    return prepare(
        config.parse(
            {
                "space": CONFIG["space"],
                "data": CONFIG["data"],
                "evaluator": {"use": "evonas.workers.inherited:Inherited", "supernet": str(folder), **options},
                "objectives": ["valid_error", "macs"],
                "pool": "evonas.workers.local_pool:LocalPool",
                "tracking": None,
            }
        )
    )


@pytest.mark.usefixtures("ray_cluster")
def test_workers_share_weights_that_nobody_writes_and_measure_the_same_in_any_order(folder: Path) -> None:
    found = search(folder, use="watched:Watched", calibration_examples=64)
    rng = np.random.default_rng(0)
    genomes = [SPACE.canonical(SPACE.sample(rng)) for _ in range(4)]
    generation = [Candidate(n, genome, 0, budget=n % 2) for n, genome in enumerate([*genomes, *genomes[::-1]])]
    local, ray = LocalPool(found.recipe, found.shared), RayPool(found.recipe, found.shared, workers=2, cpus=1)
    try:
        first, *others = (run(pool, asked) for asked in (generation, generation[::-1]) for pool in (local, ray))
    finally:
        ray.close()
    before = hash_of(files.load(folder).arrays)
    for outcome in first:
        assert isinstance(outcome, Evaluation), outcome
        assert outcome.metrics["epochs"] == outcome.candidate.budget, "batch norms alone, or weights of a copy"
        assert (outcome.metrics["hash"], outcome.metrics["zero_copy"]) == (before, 1.0)
        assert outcome.metrics["read_here"] == 0.0
    for same in others:
        assert [_untimed(outcome) for outcome in same] == [_untimed(outcome) for outcome in first]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"calibration_examples": 1}, "'calibration_examples' must be 2 or more, and is 1"),
        ({"valid_examples": 0}, "'valid_examples' must be 1 or more, or null for all, and is 0"),
        ({"fine_tune_epochs": -1}, "'fine_tune_epochs' must be 0 or more, and is -1"),
        ({"batch_size": 1}, "'batch_size' must be 2 or more"),
        ({"cutout": 9}, "'cutout' must be at most the images' size, 8 pixels, and is 9"),
    ],
)
def test_options_out_of_range_are_refused(folder: Path, options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search(folder, **options)


def test_a_supernet_that_cannot_be_used_is_refused_before_the_search(folder: Path, tmp_path: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(whole[: len(whole) // 2])
    other_space = {**CONFIG, "space": {**CONFIG["space"], "stem_channels": 8}}
    other_genes = {**CONFIG, "space": {"use": "evonas.spaces.nasnet_cell:NASNetCell"}}
    for path, said in (
        (tmp_path / "missing", r"there is no trained supernet at .*missing: name the folder that 'evonas supernet"),
        (tmp_path, r"there is no trained supernet at .*: continue its training with 'evonas supernet FILE --run"),
        (torn, "torn.safetensors cannot be read .*it is damaged"),
        (
            train_supernet(tmp_path / "a", config=other_space),
            r"another space, .*'stem_channels': 8.*has params = 3,938 .*and this one has 1,078",
        ),
        (
            train_supernet(tmp_path / "b", config=other_genes),
            "another space, .*NASNetCell.*has the gene .*, and this one has",
        ),
        (train_supernet(tmp_path / "c", config={}), "is no supernet of evonas"),
        (
            train_supernet(tmp_path / "d", data=digits(train_size=150)),
            r"was trained on other data: .* 'train_size': 200.*or train another with these",
        ),
    ):
        with pytest.raises(DataError, match=said):
            search(path)


def _untimed(outcome: object) -> object:
    assert isinstance(outcome, Evaluation)
    return timeless(replace(outcome, metrics=untimed(outcome.metrics)))
