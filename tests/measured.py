"""Measured networks of the synthetic space, and predictors that are fitted to them and saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import FormulaEvaluator, IntegerSpace

from evonas import predict, saved_predictor
from evonas.component import Component
from evonas.evaluation import Metric
from evonas.measurements import Measurements
from evonas.seeds import generator
from evonas.space import SearchSpace

LINEAR = Component("linear_predictor:Linear", {"shrink": 1e-6})


def measured(count: int = 60, columns: Mapping[str, np.ndarray] | None = None, seed: int = 0) -> Measurements:
    """Return so many random networks with the formula's error and throughput, and further columns."""
    space, rng = IntegerSpace(), generator(seed, "measured")
    genomes = list(dict.fromkeys(space.sample(rng) for _ in range(4 * count)))[:count]
    rows = [FormulaEvaluator(space, seed=0).measure(genome, None) for genome in genomes]
    numbers = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Measurements(
        "runs/some", Component("synthetic:IntegerSpace"), space, genomes, {**numbers, **(columns or {})},
        {"valid_error": Metric("valid_error", worst=1.0)}, "valid_error",
    )  # fmt: skip


def save(path: Path, component: Component = LINEAR, target: str = "valid_error", **how: Any) -> predict.Problem:
    """Fit a predictor to 60 networks and save it; return what it was fitted to."""
    problem = predict.problem(measured(), target, **how)
    assessment, fitted = predict.assess(problem, component)
    saved_predictor.save(predict.to_save(problem, assessment, fitted), path)
    return problem


def predictions(path: Path, space: SearchSpace, genomes: list[tuple[int, ...]]) -> np.ndarray:
    """Return the means that a saved predictor gives."""
    encoding, predictor = saved_predictor.load(path).restored(space)
    return predictor.predict(encoding(genomes)).mean
