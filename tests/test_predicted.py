"""The evaluator that asks saved predictors: what every evaluator must do, and predictions that are the files' own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluator_contract import EvaluatorContract
from measured import LINEAR, measured, predictions, save
from pool_contract import run, timeless
from ray_fixture import ray_cluster as ray_cluster  # a fixture
from synthetic import IntegerSpace

from evonas.component import Component
from evonas.errors import ConfigError, DataError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Metric, Source
from evonas.experiment_recipe import ExperimentRecipe
from evonas.shipped_predictors import named
from evonas.space import Gene, Genome
from evonas.workers.local_pool import LocalPool
from evonas.workers.predicted import Predicted
from evonas.workers.ray_pool import RayPool


class PredictedContract(EvaluatorContract):
    """Of a predictor that ships, fitted to two metrics."""

    depends_on_seed = False
    predictor: str

    folder: Path | None = None

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        if self.folder is None:
            type(self).folder = tmp_path_factory.mktemp("models")
            for target in ("valid_error", "throughput"):
                save(self._file(target), named(self.predictor), target)

    def _file(self, target: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{target}.safetensors"

    def evaluator(self, seed: int) -> Evaluator:
        files = [self._file("valid_error"), self._file("throughput")]
        return Predicted(IntegerSpace(), seed, models=files)

    def test_predictions_are_to_the_bit_those_of_any_other_company(self) -> None:
        genomes, evaluator = list(measured(200).genomes), self.evaluator(0)
        alone = [evaluator.measure(genome, None) for genome in genomes]
        for seed, size in enumerate((2, 7, 63, 64, 65, 200)):
            order = np.random.default_rng(seed).permutation(200)[:size]
            assert evaluator.measure_many([genomes[row] for row in order], None) == [alone[row] for row in order]

    def test_predictions_are_those_of_the_file(self) -> None:
        genomes = list(measured(100).genomes)
        rows = self.evaluator(0).measure_many(genomes, None)
        expected = predictions(self._file("valid_error"), IntegerSpace(), genomes)
        np.testing.assert_allclose([row["valid_error"] for row in rows], expected, rtol=1e-9)


class TestRidge(PredictedContract):
    predictor = "ridge"


class TestGaussianProcess(PredictedContract):
    predictor = "gp"


@pytest.mark.parametrize(
    ("name", "options"),
    [("forest", {}), ("gbdt", {"members": 2}), ("ensemble", {"members": 2, "steps": 40}),
     ("auto", {"candidates": ["evonas.predictors.ridge:Ridge", "linear_predictor:Linear"], "folds": 2, "repeats": 1})],
)  # fmt: skip
def test_all_that_ship_predict_the_same_bits_in_any_company(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    save(tmp_path / "any.safetensors", named(name, options))
    genomes = list(measured(100).genomes)
    ahead, back = (Predicted(IntegerSpace(), 0, models=[tmp_path / "any.safetensors"]) for _ in range(2))
    rows = ahead.measure_many(genomes, None)
    assert back.measure_many(genomes[::-1], None)[::-1] == rows
    assert [back.measure(genome, None) for genome in genomes[::20]] == rows[::20]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "error.safetensors")
    return tmp_path / "error.safetensors"


def test_it_declares_what_its_files_predict_and_how_sure_they_are(file: Path, tmp_path: Path) -> None:
    save(tmp_path / "speed.safetensors", target="throughput", maximize=True)
    evaluator = Predicted(IntegerSpace(), 0, models=[file, tmp_path / "speed.safetensors"])
    worst = float(measured().column("throughput").min())
    assert evaluator.source is Source.PREDICTED
    assert evaluator.metrics == [
        Metric("valid_error", worst=1.0), Metric("throughput", maximize=True, worst=worst),
        Metric("valid_error_std"), Metric("throughput_std"),
    ]  # fmt: skip
    assert evaluator.measure((0, 0, 0, 0), None).keys() == {metric.name for metric in evaluator.metrics}


def test_a_prediction_is_never_worse_than_the_worst(tmp_path: Path) -> None:
    sums = np.array([float(sum(genome)) for genome in measured().genomes])
    columns = {"loss": sums, "gain": sums}
    from evonas import predict, saved_predictor

    files, space = [], IntegerSpace()
    for target, maximize in (("loss", False), ("gain", True)):
        problem = predict.problem(measured(columns=columns), target, maximize=maximize)
        assessment, fitted = predict.assess(problem, LINEAR)
        files.append(tmp_path / f"{target}.safetensors")
        saved_predictor.save(predict.to_save(problem, assessment, fitted), files[-1])
    smallest, largest = Predicted(space, 0, models=files).measure_many([(0, 0, 0, 0), (5, 5, 3, 2)], None)
    assert 0 < sums.min() < sums.max() < 15
    assert (smallest["loss"], smallest["gain"]) == (pytest.approx(0.0, abs=0.1), sums.min())
    assert (largest["loss"], largest["gain"]) == (sums.max(), pytest.approx(15.0, abs=0.1))


class Folded(IntegerSpace):
    """Of the last gene all options are one."""

    def canonical(self, genome: Genome) -> Genome:
        return (*genome[:-1], 0)


def test_equal_networks_have_equal_predictions(file: Path) -> None:
    evaluator = Predicted(Folded(), 0, models=[file])
    assert evaluator.measure((3, 3, 2, 2), None) == evaluator.measure((3, 3, 2, 0), None)
    assert Predicted(IntegerSpace(), 0, models=[file]).measure((3, 3, 2, 2), None) != evaluator.measure(
        (3, 3, 2, 2), None
    )


def test_a_rehearsal_is_of_many_at_once_as_pools_ask(file: Path) -> None:
    evaluator = Predicted(IntegerSpace(), 0, models=[file])
    began = time.perf_counter()
    evaluator.measure((0, 0, 0, 0), None)
    alone = time.perf_counter() - began
    assert min(evaluator.rehearse((0, 0, 0, 0)) for _ in range(3)) < alone / 4


def test_the_fingerprint_is_that_of_the_files(file: Path, tmp_path: Path) -> None:
    before = Predicted(IntegerSpace(), 0, models=[file]).fingerprint()
    file.rename(tmp_path / "moved.safetensors")
    assert Predicted(IntegerSpace(), 1, models=[tmp_path / "moved.safetensors"]).fingerprint() == before
    save(file, rows=50)
    assert Predicted(IntegerSpace(), 0, models=[file]).fingerprint() != before


def test_files_that_cannot_be_used_are_refused(file: Path, tmp_path: Path) -> None:
    save(tmp_path / "beside.safetensors", beside=["throughput"])
    with pytest.raises(ConfigError, match=r"beside\.safetensors predicts valid_error from throughput, which nobody"):
        Predicted(IntegerSpace(), 0, models=[tmp_path / "beside.safetensors"])
    with pytest.raises(ConfigError, match="'models' predict valid_error, valid_error_std twice"):
        Predicted(IntegerSpace(), 0, models=[file, file])
    with pytest.raises(ConfigError, match="'models' is empty"):
        Predicted(IntegerSpace(), 0, models=[])
    with pytest.raises(DataError, match=r"there is no predictor .*eror\.safetensors; did you mean 'error\.safetensors"):
        Predicted(IntegerSpace(), 0, models=[tmp_path / "eror.safetensors"])
    other = IntegerSpace()
    other.genes = (*other.genes, Gene("stem", (1, 2)))
    with pytest.raises(DataError, match="was fitted on another space"):
        Predicted(other, 0, models=[file])


@pytest.mark.parametrize("target", ["test_error", "cifar10_test_error"])
def test_a_predictor_of_the_test_split_is_for_nobody(target: str, tmp_path: Path) -> None:
    from evonas import predict, saved_predictor

    problem = predict.problem(measured(columns={target: measured().column("valid_error")}), target)
    assessment, fitted = predict.assess(problem, LINEAR)
    saved_predictor.save(predict.to_save(problem, assessment, fitted), tmp_path / "test.safetensors")
    with pytest.raises(ConfigError, match=f"predicts {target}, and a search never sees the test split"):
        Predicted(IntegerSpace(), 0, models=[tmp_path / "test.safetensors"])


@pytest.fixture
def recipe(tmp_path: Path) -> ExperimentRecipe:
    save(tmp_path / "gp.safetensors", named("gp"))
    options = {"models": [str(tmp_path / "gp.safetensors")]}
    evaluator = Component("evonas.workers.predicted:Predicted", options)
    return ExperimentRecipe(Component("synthetic:IntegerSpace"), None, evaluator, seed=0)


def test_ray_workers_predict_what_a_local_pool_predicts(recipe: ExperimentRecipe, ray_cluster: None) -> None:
    asked = [Candidate(number, genome, 0) for number, genome in enumerate(measured(400).genomes)]
    local = run(LocalPool(recipe), asked)
    pool = RayPool(recipe, workers=2)
    outcomes = run(pool, asked)
    pool.close()
    assert [timeless(outcome) for outcome in outcomes] == [timeless(outcome) for outcome in local]
    assert all(isinstance(outcome, Evaluation) and outcome.source is Source.PREDICTED for outcome in outcomes)
