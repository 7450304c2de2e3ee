"""What every predictor must satisfy: inherit PredictorContract as a test class and set `component`."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import kendalltau
from toy import ToySpace

from evonas.component import Component
from evonas.errors import DataError
from evonas.predictor import Encoding, Features, Prediction, Predictor
from evonas.seeds import generator

SPACE = ToySpace(8, redundant=False)


def toy_rows(rows: int, seed: int = 0, *, noise: float = 0.0) -> tuple[Features, np.ndarray]:
    """Return rows of eight genes, and targets that depend on seven of them, on a pair, on a cost, and on chance."""
    rng = generator(seed, "rows")
    features = Encoding(SPACE)([SPACE.sample(rng) for _ in range(rows)])
    genes, params = features.choices, features.numbers[:, features.names.index("params")]
    targets = 20 - np.sqrt(genes[:, :6]) @ np.arange(1.0, 7.0) - 3 * (genes[:, 0] == genes[:, 6]) + 2 * params
    return features, targets + noise * rng.normal(size=rows)


class PredictorContract:
    """Claims about any Predictor; a new one is tested by `class TestMine(PredictorContract): component = ...`."""

    component: Component
    least_tau = 0.7
    """Kendall's tau that 100 rows without noise must give on others."""

    def predictor(self, seed: int = 0) -> Predictor:
        predictor: Predictor = self.component.build({"seed": seed})
        return predictor

    def fitted(self, features: Features, targets: np.ndarray, seed: int = 0) -> Predictor:
        predictor = self.predictor(seed)
        predictor.fit(features, targets)
        return predictor

    def predicted(self, features: Features, targets: np.ndarray, asked: Features | None = None) -> Prediction:
        """Return what is predicted of the rows asked for, or else those learnt, in the form that any must have."""
        asked = features if asked is None else asked
        prediction = self.fitted(features, targets).predict(asked)
        assert prediction.mean.shape == prediction.std.shape == (len(asked),)
        assert prediction.mean.dtype == prediction.std.dtype == np.float64
        assert np.isfinite(prediction.mean).all()
        assert np.isfinite(prediction.std).all()
        assert (prediction.std >= 0).all()
        return prediction

    def test_rows_that_were_not_learnt_are_ranked(self) -> None:
        (features, targets), (asked, truth) = toy_rows(100), toy_rows(500, seed=1)
        assert kendalltau(self.predicted(features, targets, asked).mean, truth)[0] > self.least_tau

    def test_more_rows_are_better(self) -> None:
        asked, truth = toy_rows(500, seed=1)
        few, many = (self.predicted(*toy_rows(rows), asked).mean for rows in (16, 200))
        assert np.abs(many - truth).mean() < 0.8 * np.abs(few - truth).mean()

    def test_deviations_are_as_large_as_errors(self) -> None:
        (features, targets), (asked, truth) = toy_rows(100, noise=1.0), toy_rows(1000, seed=1, noise=1.0)
        prediction = self.predicted(features, targets, asked)
        errors = np.abs(prediction.mean - truth) / prediction.std
        assert 0.5 < np.mean(errors < 1) < 0.9, "0.68 if errors were normal"
        assert np.mean(errors < 2) > 0.85

    def test_a_measured_column_that_tells_the_target_is_heard(self) -> None:
        features, _ = toy_rows(250)
        targets = generator(0, "told").normal(size=250)
        told = Features(
            features.choices, features.sizes, np.column_stack([features.numbers, targets]), (*features.names, "score")
            , features.ordinals
        )  # fmt: skip
        learnt, asked = np.arange(50), np.arange(50, 250)
        assert kendalltau(self.predicted(told.rows(learnt), targets[:50], told.rows(asked)).mean, targets[50:])[0] > 0.7

    def test_equal_seeds_and_rows_give_equal_bits_and_leave_global_generators_alone(self) -> None:
        state = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
        (features, targets), (asked, _) = toy_rows(40), toy_rows(50, seed=1)
        first, second = (self.predicted(features, targets, asked) for _ in range(2))
        assert first.mean.tobytes() == second.mean.tobytes()
        assert first.std.tobytes() == second.std.tobytes()
        assert np.random.get_state()[1].tolist() == state  # type: ignore[index, union-attr]

    def test_the_prediction_of_a_row_does_not_depend_on_the_others(self) -> None:
        predictor, (asked, _) = self.fitted(*toy_rows(40)), toy_rows(60, seed=1)
        together = predictor.predict(asked)
        for index in (np.arange(59, -1, -1), np.array([7]), np.array([3, 3, 9])):
            some = predictor.predict(asked.rows(index))
            np.testing.assert_allclose(some.mean, together.mean[index], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(some.std, together.std[index], rtol=1e-5, atol=1e-5)
        assert len(predictor.predict(asked.rows(np.arange(0))).mean) == 0

    def test_its_state_restores_it_through_a_file_without_pickle(self) -> None:
        (features, targets), (asked, _) = toy_rows(60), toy_rows(50, seed=1)
        fitted = self.fitted(features, targets)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **fitted.state())  # type: ignore[arg-type]
        file.seek(0)
        restored = self.predictor(seed=1)
        with np.load(file, allow_pickle=False) as arrays:
            restored.restore(dict(arrays))
        expected, found = fitted.predict(asked), restored.predict(asked)
        assert found.mean.tobytes() == expected.mean.tobytes()
        assert found.std.tobytes() == expected.std.tobytes()
        again = restored.state()
        assert again.keys() == fitted.state().keys()
        assert all(np.array_equal(again[name], array) for name, array in fitted.state().items())

    def test_what_was_learnt_before_is_gone(self) -> None:
        (features, targets), (asked, _) = toy_rows(40), toy_rows(50, seed=1)
        predictor = self.fitted(*toy_rows(30, seed=2))
        predictor.fit(features, targets)
        assert np.array_equal(predictor.predict(asked).mean, self.fitted(features, targets).predict(asked).mean)

    def test_units_do_not_matter(self) -> None:
        (features, targets), (asked, _) = toy_rows(60, noise=1.0), toy_rows(100, seed=1)
        plain = self.predicted(features, targets, asked)
        for unit in (1e-6, 1e9):
            other = self.predicted(features, unit * targets, asked)
            assert np.corrcoef(other.mean, plain.mean)[0, 1] > 0.99
            np.testing.assert_allclose(other.std.mean(), unit * plain.std.mean(), rtol=0.05)

    @pytest.mark.parametrize("rows", [2, 3, 5, 12])
    def test_a_few_rows_are_enough(self, rows: int) -> None:
        features, targets = toy_rows(rows)
        asked, _ = toy_rows(100, seed=1)
        mean = self.predicted(features, targets, asked).mean
        width = np.ptp(targets)
        assert (targets.min() - 2 * width <= mean).all()
        assert (mean <= targets.max() + 2 * width).all()

    @pytest.mark.parametrize("value", [0.0, -3.0, 1e-12, 0.1, 1e12])
    def test_constant_targets_are_predicted_as_they_are(self, value: float) -> None:
        (features, _), (asked, _) = toy_rows(20), toy_rows(50, seed=1)
        prediction = self.predicted(features, np.full(20, value), asked)
        np.testing.assert_allclose(prediction.mean, value, rtol=1e-6, atol=1e-12)

    def test_targets_that_are_skewed_negative_or_zero_are_none_too_odd(self) -> None:
        (features, targets), (asked, truth) = toy_rows(100), toy_rows(300, seed=1)
        shapes: Mapping[str, tuple[np.ndarray, np.ndarray]] = {
            "skewed up": (np.exp(targets / 3), np.exp(truth / 3)),
            "skewed down": (-np.exp(targets / 3), -np.exp(truth / 3)),
            "negative": (targets - 1000, truth - 1000),
            "half of them zero": (np.maximum(targets - np.median(targets), 0), truth),
        }
        for name, (shaped, order) in shapes.items():
            tau = kendalltau(self.predicted(features, shaped, asked).mean, order)[0]
            assert tau > self.least_tau - 0.25, name
        outlier = np.where(np.arange(100) == 5, 1e6, targets)
        self.predicted(features, outlier, asked)

    def test_columns_that_are_constant_or_equal_and_rows_that_are_equal_are_allowed(self) -> None:
        features, targets = toy_rows(40)
        numbers = np.column_stack([features.numbers, np.full(40, 3.0), features.numbers[:, -1]])
        odd = Features(
            np.where(np.arange(8) == 2, 1, features.choices), features.sizes, numbers,
            (*features.names, "constant", "again"), features.ordinals,
        )  # fmt: skip
        twice = np.repeat(np.arange(40), 2)
        self.predicted(odd.rows(twice), targets[twice] + np.tile([0.0, 0.5], 40))
        one = odd.rows(np.zeros(10, dtype=int))
        self.predicted(one, targets[:10])
        self.predicted(one, np.full(10, 2.0))

    def test_one_gene_without_numbers_is_enough(self) -> None:
        choices = np.arange(30)[:, None] % 3
        features = Features(choices, (4,), np.empty((30, 0)), ())
        asked = Features(np.arange(4)[:, None], (4,), np.empty((4, 0)), ())
        mean = self.predicted(features, 5.0 + choices[:, 0], asked).mean
        np.testing.assert_allclose(mean[:3], [5, 6, 7], atol=0.3)

    def test_numbers_without_genes_are_enough(self) -> None:
        numbers = np.linspace(0, 1, 40)[:, None]
        features = Features(np.empty((40, 0), dtype=int), (), numbers, ("macs",))
        mean = self.predicted(features, 5.0 + numbers[:, 0]).mean
        assert np.abs(mean - 5.0 - numbers[:, 0]).mean() < 0.15

    def test_what_cannot_be_learnt_or_predicted_is_refused_with_the_way_out(self) -> None:
        features, targets = toy_rows(10)
        with pytest.raises(DataError, match="has not learnt anything: call 'fit'"):
            self.predictor().predict(features)
        with pytest.raises(DataError, match="two rows or more and a target each, not from 1 rows"):
            self.predictor().fit(features.rows(np.arange(1)), targets[:1])
        with pytest.raises(DataError, match="two rows or more and a target each"):
            self.predictor().fit(features, targets[:9])
        with pytest.raises(DataError, match="finite targets, and 1 of 10 are not"):
            self.predictor().fit(features, np.where(np.arange(10) == 4, np.nan, targets))
        broken = features.numbers.copy()
        broken[3, -1] = np.inf
        endless = Features(features.choices, features.sizes, broken, features.names, features.ordinals)
        with pytest.raises(DataError, match=f"{features.names[-1]} are not"):
            self.predictor().fit(endless, targets)
        other = Features(features.choices[:, :7], features.sizes[:7], np.empty((10, 0)), ())
        with pytest.raises(DataError, match="was fitted on genes of"):
            self.fitted(features, targets).predict(other)
