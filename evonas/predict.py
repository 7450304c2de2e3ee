"""Fit a predictor to measured networks, and say how far it can be trusted on others."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evonas.component import Component
from evonas.compose import versions
from evonas.errors import ConfigError, DataError, EvonasError
from evonas.evaluation import Metric
from evonas.measurements import Measurements
from evonas.predictor import Encoding, Features, Prediction, Predictor
from evonas.saved_predictor import SavedPredictor
from evonas.seeds import generator
from evonas.space import Genome
from evonas.threads import one_thread

FEWEST, FOLDS, AT_A_TIME, UNLABELLED = 10, 5, 4096, 2000
LEVELS = (50, 80, 95)
"""Per cent of held-out values that should lie inside the intervals which are looked at."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How predictions of networks that were not learnt from compare with what was measured.

    `inside` is, by level in per cent, the share of values inside the central interval of a normal distribution with
    the predicted mean and deviation.
    """

    rows: int
    kendall_tau: float
    spearman: float
    rmse: float
    inside: Mapping[int, float]


@dataclass(frozen=True)
class Assessment:
    """How well a predictor does: across folds of the training rows, and on the rows beyond them, if there are any."""

    predictor: Component
    cross_validated: Scores
    held_out: Scores | None
    fit_seconds: float
    predict_seconds_each: float

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-plain values."""
        return {**asdict(self), "predictor": self.predictor.plain()}


@dataclass(frozen=True)
class Problem:
    """What is learnt from what: features and finite targets of networks, and which of them are training rows.

    `unlabelled` are features of networks that nobody measured, for predictors that learn from their costs first; there
    are none where a column that is measured belongs to the features.
    """

    measured: Measurements
    encoding: Encoding
    features: Features
    targets: np.ndarray
    target: Metric
    training: np.ndarray
    unlabelled: Features | None
    seed: int
    notes: Sequence[str]

    @property
    def others(self) -> np.ndarray:
        """The rows that are not trained on."""
        return np.setdiff1d(np.arange(len(self.targets)), self.training)


def problem(
    measured: Measurements,
    target: str | None = None,
    *,
    rows: int | None = None,
    seed: int = 0,
    beside: Sequence[str] = (),
    maximize: bool | None = None,
) -> Problem:
    """Return what is to be learnt: `target` of `rows` random networks (all, if None) from what is known of them.

    `beside` names measured columns that are given as features too. Raises an EvonasError where too few rows are known,
    or where columns are missing or constant.
    """
    name = target or measured.target
    if name is None:
        raise ConfigError(f"say what to predict, with --target: {', '.join(measured.columns)}")
    targets, others = measured.column(name), [measured.column(column) for column in beside]
    if name in beside:
        raise ConfigError(f"'{name}' is what to predict: leave it out of --with")
    finite = np.isfinite(np.stack([targets, *others])).all(axis=0)
    known = np.flatnonzero(finite)
    notes = list(measured.notes)
    if len(known) < len(targets):
        notes.append(f"{len(targets) - len(known):,} of {len(targets):,} rows are left out: no finite number there")
    if len(known) < FEWEST:
        raise DataError(
            f"{measured.source} has {len(known)} networks with a finite {' and '.join([name, *beside])}, and a "
            f"predictor needs {FEWEST} or more: measure more networks"
        )
    for column in (name, *beside):
        if np.ptp(measured.column(column)[known]) == 0:
            raise DataError(
                f"'{column}' has the same value in all {len(known)} rows: there is nothing to learn from it"
            )
    count = len(known) if rows is None else rows
    if not FEWEST <= count <= len(known):
        raise ConfigError(f"'rows' must be {FEWEST} to {len(known)}, which {measured.source} has, and is {rows}")
    encoding = Encoding(measured.space, measured=beside)
    values = [{c: float(measured.column(c)[row]) for c in beside} for row in known.tolist()]
    features = encoding([measured.genomes[row] for row in known.tolist()], values)
    training = np.sort(generator(seed, "training rows").permutation(len(known))[:count])
    unlabelled = None if beside else encoding(_sampled(measured, seed))
    return Problem(
        measured, encoding, features, targets[known], _target(name, measured, targets[known], maximize), training,
        unlabelled, seed, notes,
    )  # fmt: skip


def assess(problem: Problem, component: Component) -> tuple[Assessment, Predictor]:
    """Cross-validate a predictor, fit it to all training rows and score it on the others; return it with the scores.

    Each of five folds is predicted by what was fitted to the other four, and the scores are those of all folds' rows
    together.
    """
    with one_thread():
        return _assessed(problem, component)


def scores(prediction: Prediction, targets: np.ndarray) -> Scores:
    """Compare predictions with targets, shape (rows,); a rank correlation of equal values, which has none, is 0."""
    from scipy import stats

    errors = np.abs(targets - prediction.mean)
    ordered = np.ptp(prediction.mean) > 0 and np.ptp(targets) > 0
    return Scores(
        rows=len(targets),
        kendall_tau=float(stats.kendalltau(prediction.mean, targets).statistic) if ordered else 0.0,
        spearman=float(stats.spearmanr(prediction.mean, targets).statistic) if ordered else 0.0,
        rmse=math.sqrt(float((errors**2).mean())),
        inside={
            level: float((errors <= stats.norm.ppf(0.5 + level / 200) * prediction.std).mean()) for level in LEVELS
        },
    )


def to_save(problem: Problem, assessment: Assessment, predictor: Predictor) -> SavedPredictor:
    """Return a fitted predictor as it is kept in a file."""
    story = {
        "source": problem.measured.source,
        "rows": len(problem.training),
        "seed": problem.seed,
        "kendall_tau": assessment.cross_validated.kendall_tau,
        "rmse": assessment.cross_validated.rmse,
        "versions": versions(),
    }
    return SavedPredictor.of(
        predictor, assessment.predictor, problem.target, problem.encoding, problem.measured.component, story
    )


def plain(problem: Problem, assessed: Mapping[str, Assessment | EvonasError]) -> dict[str, Any]:
    """Return what was learnt and how well, of every predictor by name, as JSON-plain values."""
    return {
        "source": problem.measured.source,
        "target": asdict(problem.target),
        "training_rows": len(problem.training),
        "other_rows": len(problem.others),
        "seed": problem.seed,
        "genes": len(problem.encoding.sizes),
        "numbers": problem.encoding.names,
        "notes": problem.notes,
        "predictors": {n: a.plain() if isinstance(a, Assessment) else {"error": str(a)} for n, a in assessed.items()},
    }


def _assessed(problem: Problem, component: Component) -> tuple[Assessment, Predictor]:
    training = generator(problem.seed, "folds").permutation(problem.training)
    folds = np.array_split(training, FOLDS)
    across = _joined(
        [_predicted(_fitted(problem, component, np.setdiff1d(training, fold)), problem, fold) for fold in folds]
    )
    began = time.perf_counter()
    predictor = _fitted(problem, component, problem.training)
    fit_seconds = time.perf_counter() - began
    rest = problem.others if len(problem.others) else problem.training
    began = time.perf_counter()
    beyond = _predicted(predictor, problem, rest)
    each = (time.perf_counter() - began) / len(rest)
    held_out = scores(beyond, problem.targets[rest]) if len(problem.others) else None
    return Assessment(component, scores(across, problem.targets[training]), held_out, fit_seconds, each), predictor


def _sampled(measured: Measurements, seed: int) -> list[Genome]:
    rng = generator(seed, "unlabelled")
    return [measured.space.canonical(measured.space.sample(rng)) for _ in range(UNLABELLED)]


def _fitted(problem: Problem, component: Component, rows: np.ndarray) -> Predictor:
    predictor: Predictor = component.build({"seed": problem.seed})
    if problem.unlabelled is not None:
        predictor.pretrain(problem.unlabelled)
    predictor.fit(problem.features.rows(rows), problem.targets[rows])
    return predictor


def _predicted(predictor: Predictor, problem: Problem, rows: np.ndarray) -> Prediction:
    """Predict rows, some thousand at a time: a Gaussian process compares each with all that it was fitted to."""
    parts = np.array_split(rows, -(-len(rows) // AT_A_TIME))
    return _joined([predictor.predict(problem.features.rows(part)) for part in parts])


def _joined(parts: Sequence[Prediction]) -> Prediction:
    return Prediction(np.concatenate([part.mean for part in parts]), np.concatenate([part.std for part in parts]))


def _target(name: str, measured: Measurements, targets: np.ndarray, maximize: bool | None) -> Metric:
    """Return the target with its direction and worst value: as the run says, else by name and the worst measured."""
    declared = measured.declared.get(name)
    if declared is not None and maximize in (None, declared.maximize):
        return declared
    upwards = bool(re.search("acc|auc|score|f1|precision|recall", name.lower())) if maximize is None else maximize
    return Metric(name, upwards, float(targets.min() if upwards else targets.max()))
