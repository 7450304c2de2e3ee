"""A predictor in a file is the predictor that was saved, or it is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import LINEAR, measured, predictions, save
from safetensors import safe_open
from safetensors.numpy import save_file
from synthetic import IntegerSpace

from evonas import predict, saved_predictor
from evonas.errors import ComponentError, ConfigError, DataError
from evonas.shipped_predictors import named
from evonas.space import Gene, Genome, Metrics


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "error.safetensors")
    return tmp_path / "error.safetensors"


def test_what_was_saved_predicts_the_same_bits_in_another_process_of_mind(tmp_path: Path) -> None:
    problem = predict.problem(measured(), "valid_error")
    assessment, fitted = predict.assess(problem, LINEAR)
    saved_predictor.save(predict.to_save(problem, assessment, fitted), tmp_path / "a.safetensors")
    expected = fitted.predict(problem.features)
    encoding, restored = saved_predictor.load(tmp_path / "a.safetensors").restored(IntegerSpace())
    again = restored.predict(encoding(problem.measured.genomes))
    np.testing.assert_array_equal(again.mean, expected.mean)
    np.testing.assert_array_equal(again.std, expected.std)


def test_a_file_tells_what_it_is_and_how_it_came_to_be(file: Path) -> None:
    saved = saved_predictor.load(file)
    assert (saved.target.name, saved.target.maximize, saved.target.worst) == ("valid_error", False, 1.0)
    assert (saved.predictor, saved.costs, saved.measured) == (LINEAR, ("macs", "params"), ())
    assert saved.space.use == "synthetic:IntegerSpace"
    assert (saved.fitted["source"], saved.fitted["rows"], saved.fitted["seed"]) == ("runs/some", 60, 0)
    assert 0.5 < saved.fitted["kendall_tau"] <= 1
    assert saved.fitted["versions"]["numpy"] == np.__version__
    with safe_open(file, framework="np") as opened:
        assert json.loads(opened.metadata()["evonas.predictor"])["predictor"]["fitted"] == saved.fitted, "for any tool"


def test_the_same_fit_is_the_same_file(file: Path, tmp_path: Path) -> None:
    save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    assert saved_predictor.fingerprint(file) == saved_predictor.fingerprint(tmp_path / "again.safetensors")
    save(tmp_path / "other.safetensors", seed=1, rows=40)
    assert saved_predictor.fingerprint(file) != saved_predictor.fingerprint(tmp_path / "other.safetensors")


def test_any_byte_that_changes_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for position in {0, 7, 8, len(whole) - 1, *rng.integers(len(whole), size=150).tolist()}:
        file.write_bytes(
            whole[:position] + bytes([whole[position] ^ 1 << int(rng.integers(8))]) + whole[position + 1 :]
        )
        with pytest.raises((DataError, ConfigError)):
            saved_predictor.load(file)


def test_any_end_that_is_missing_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for length in [0, 1, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"error\.safetensors is damaged, or no safetensors file: .*: fit"):
            saved_predictor.load(file)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("a text of some length, which is no predictor at all")
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps(LINEAR))
    (tmp_path / "folder.safetensors").mkdir()
    save_file({"weight": np.zeros(3)}, tmp_path / "weights.safetensors", {"format": "pt"})
    save_file({"weight": np.zeros(3)}, tmp_path / "bare.safetensors")
    for name, said in [
        ("text", "damaged, or no safetensors"), ("pickle", "damaged, or no safetensors"), ("folder", "no predictor"),
        ("weights", "no predictor of evonas"), ("bare", "no predictor of evonas"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=said):
            saved_predictor.load(tmp_path / f"{name}.safetensors")
    with pytest.raises(DataError, match=r"there is no predictor .*txt\.safetensors; did you mean 'text\.safetensors'"):
        saved_predictor.load(tmp_path / "txt.safetensors")


def rewritten(file: Path, **changes: Any) -> None:
    """Change what a file says, as somebody who knows how to make the checksum right."""
    with safe_open(file, framework="np") as opened:
        text = opened.metadata()["evonas.predictor"]
        state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    record = {**json.loads(text)["predictor"], **changes}
    sha = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name, array in sorted(state.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    text = json.dumps({"sha256": sha.hexdigest(), "predictor": record})
    save_file(state, file, {"evonas.predictor": text})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 9}, "has format 9, and this version of evonas reads 2"),
        ({"format": None}, "has format None"),
        ({"predictor": {"use": "linear_predictor:Linear", "shrnk": 3}}, "did you mean 'shrink'"),
        ({"predictor": 3}, "damaged"),
        ({"target": {"nam": "valid_error"}}, "damaged"),
        ({"genes": [["depth"]]}, "damaged"),
        ({"probes": None}, "damaged"),
    ],
)
def test_what_a_file_says_is_checked(changes: dict[str, Any], said: str, file: Path) -> None:
    rewritten(file)
    saved_predictor.load(file)
    rewritten(file, **changes)
    with pytest.raises((DataError, ConfigError), match=said):
        saved_predictor.load(file)


def test_nothing_that_a_file_names_is_executed(file: Path, tmp_path: Path) -> None:
    rewritten(file, predictor={"use": "os:system", "command": f"touch {tmp_path / 'executed'}"})
    with pytest.raises((ConfigError, ComponentError)):
        saved_predictor.load(file).restored(IntegerSpace())
    rewritten(file, predictor={"use": "synthetic:IntegerSpace"})
    with pytest.raises(ConfigError, match="must name a class that inherits from Predictor"):
        saved_predictor.load(file).restored(IntegerSpace())
    harmful = {"use": "os:system", "command": f"touch {tmp_path / 'executed'}"}
    save(file, named("auto", {"candidates": ["linear_predictor:Linear"]}))
    rewritten(file, predictor={"use": "evonas.predictors.auto:Auto", "candidates": [harmful]})
    encoding, predictor = saved_predictor.load(file).restored(IntegerSpace())
    with pytest.raises(ConfigError, match="'candidates' are predictors, and os:system is none"):
        predictor.predict(encoding([(0, 0, 0, 0)]))
    assert not (tmp_path / "executed").exists()
    assert os.listdir(tmp_path) == [file.name]  # noqa: PTH208


def test_a_state_that_the_predictor_does_not_know_is_refused(file: Path) -> None:
    saved = saved_predictor.load(file)
    with pytest.raises(DataError, match=r"cannot take back what it had learnt \(KeyError: 'center'\): fit it again"):
        replace(saved, state={"weights": saved.state["weights"]}).restored(IntegerSpace())


class OtherKernels(IntegerSpace):
    genes = (*IntegerSpace.genes[:2], Gene("kernel", (1, 3, 5, 9)), IntegerSpace.genes[3])


class Codes(IntegerSpace):
    genes = (*IntegerSpace.genes[:2], Gene("kernel", ("1", "3", "5", "7")), IntegerSpace.genes[3])


class OneGeneMore(IntegerSpace):
    genes = (*IntegerSpace.genes, Gene("se", (0, 1)))


class WiderStem(IntegerSpace):
    def costs(self, genome: Genome) -> Metrics:
        return {**super().costs(genome), "params": super().costs(genome)["params"] + 1}


class WithoutMacs(IntegerSpace):
    def costs(self, genome: Genome) -> Metrics:
        return {"params": super().costs(genome)["params"]}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (OtherKernels, r"a gene 'kernel' \(1, 3, 5, 7\), and this one has 'kernel' \(1, 3, 5, 9\)"),
        (Codes, r"a gene 'kernel' \(1, 3, 5, 7\), and this one has 'kernel' \('1', '3', '5', '7'\)"),
        (OneGeneMore, "4 genes, and this one has 5"),
        (WiderStem, r"params = \d+ for the genome \[.*\], and this one has \d+"),
        (WithoutMacs, r"macs = .* for the genome \[.*\], and this one has None"),
    ],
)
def test_another_space_is_told_from_the_one_it_was_fitted_on(space: type[IntegerSpace], said: str, file: Path) -> None:
    with pytest.raises(DataError, match=f"fitted on another space, .*IntegerSpace.*: that one has {said}"):
        saved_predictor.load(file).restored(space())


class Told(IntegerSpace):
    def features(self, genome: Genome) -> Metrics:
        return {"sum": float(sum(genome)), "first": float(genome[0])}


class ToldInAnotherOrder(Told):
    def features(self, genome: Genome) -> Metrics:
        return dict(reversed(super().features(genome).items()))


class ToldMore(Told):
    def features(self, genome: Genome) -> Metrics:
        return {**super().features(genome), "last": float(genome[-1])}


class ToldOtherwise(Told):
    def features(self, genome: Genome) -> Metrics:
        return {**super().features(genome), "sum": 0.0}


def test_features_of_the_space_are_told_by_name_and_value() -> None:
    problem = predict.problem(replace(measured(), space=Told()), "valid_error")
    assessment, fitted = predict.assess(problem, LINEAR)
    saved = predict.to_save(problem, assessment, fitted)
    assert saved.features == ("first", "sum")
    encoding, restored = saved.restored(ToldInAnotherOrder())
    again = restored.predict(encoding(problem.measured.genomes)).mean
    np.testing.assert_array_equal(again, fitted.predict(problem.features).mean)
    for space, said in (
        (ToldMore(), "the features first, sum, and this one has first, last, sum"),
        (IntegerSpace(), "the features first, sum, and this one has none"),
        (ToldOtherwise(), r"sum = \d+ for the genome \[.*\], and this one has 0"),
    ):
        with pytest.raises(DataError, match=said):
            saved.restored(space)


def test_the_same_space_under_another_name_is_the_same(file: Path) -> None:
    genomes = measured().genomes[:5]
    again = predictions(file, type("Renamed", (IntegerSpace,), {})(), list(genomes))
    np.testing.assert_array_equal(again, predictions(file, IntegerSpace(), list(genomes)))


def test_states_that_are_no_numbers_are_not_saved(file: Path, tmp_path: Path) -> None:
    saved = saved_predictor.load(file)
    for odd in (np.array([None]), np.array(["text"])):
        with pytest.raises(DataError, match="must return arrays of numbers, and tree are not"):
            saved_predictor.save(replace(saved, state={"tree": odd}), tmp_path / "odd.safetensors")


def test_arrays_come_back_as_they_were_however_they_lay(file: Path, tmp_path: Path) -> None:
    state = {
        "turned": np.arange(6.0).reshape(2, 3).T, "every other": np.arange(6)[::2], "one": np.array(3.5),
        "none": np.zeros((0, 2)), "bytes": np.frombuffer(b"tree", np.uint8), "yes": np.array([True]),
        "small": np.float32([1.5]),
    }  # fmt: skip
    saved_predictor.save(replace(saved_predictor.load(file), state=state), tmp_path / "odd.safetensors")
    again = saved_predictor.load(tmp_path / "odd.safetensors").state
    assert again.keys() == state.keys()
    for name, array in state.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(again[name], array)


def test_what_cannot_be_written_is_said_and_leaves_nothing(file: Path, tmp_path: Path) -> None:
    saved = saved_predictor.load(file)
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(DataError, match=r"taken\.safetensors cannot be written"):
        saved_predictor.save(saved, tmp_path / "taken.safetensors")
    with pytest.raises(DataError, match=r"saved as FILE\.safetensors, not as .*model\.pkl"):
        saved_predictor.save(saved, tmp_path / "model.pkl")
    assert {path.name for path in tmp_path.iterdir()} == {file.name, "taken.safetensors"}
