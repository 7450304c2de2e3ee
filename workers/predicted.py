"""The evaluator that asks saved predictors, many networks at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evonas import saved_predictor
from evonas.errors import ConfigError
from evonas.evaluation import Evaluator, Metric, Source
from evonas.goals import of_test_split
from evonas.predictor import Encoding, Predictor
from evonas.saved_predictor import SavedPredictor
from evonas.seeds import generator
from evonas.space import Genome, Metrics, SearchSpace
from evonas.threads import one_thread

BLOCK = 64
"""Rows that are predicted at a time, always as many: sums of matrices of other shapes differ in the last bits."""


class Predicted(Evaluator):
    """Predicts metrics with `models`, files that `evonas predict --save` has written, one for each metric.

    A metric has the name of what its model was fitted to, and its standard deviation is `<name>_std`. A prediction is
    never worse than the worst value that the model's target can take. Equal networks have equal predictions, to the
    bit, whichever others are asked for with them. Recipe genes are followed as the models learnt them, all of them with
    the options that the models' search had. Workers read the files too.
    """

    source = Source.PREDICTED

    def __init__(self, space: SearchSpace, seed: int, *, models: Sequence[Path]) -> None:
        super().__init__(space, seed)
        self._files = [Path(file) for file in models]
        self._saved = [saved_predictor.load(file) for file in self._files]
        if not self._saved:
            raise ConfigError("'models' is empty: name the files that 'evonas predict RUN --save FILE' has written")
        for file, saved in zip(self._files, self._saved, strict=True):
            _check_usable(file, saved)
            saved.check(space)
        self.recipe_options = tuple(space.recipe(space.smallest()))
        self._models: list[tuple[Encoding, Predictor]] = []
        targets = [saved.target for saved in self._saved]
        self.metrics = [*targets, *(Metric(_std(target.name)) for target in targets)]
        names = [metric.name for metric in self.metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"'models' predict {', '.join(twice)} twice: name one file for each metric")

    def prepare(self) -> None:
        """Restore the predictors, and let them load what they predict with."""
        self.measure(self.space.sample(generator(self.seed, "prepare")), None)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the predictions of one genome."""
        return self._predicted([genome])[0]

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        """Return the predictions of genomes; the budget is that of what was measured, whatever is asked for."""
        return self._predicted(genomes) if genomes else []

    def rehearse(self, genome: Genome) -> float:
        """Return the seconds of a genome among many, as a pool asks for them."""
        began = time.perf_counter()
        self._predicted([genome] * BLOCK)
        return (time.perf_counter() - began) / BLOCK

    def fingerprint(self) -> str:
        """Return a hash of the files."""
        return hashlib.sha256("".join(map(saved_predictor.fingerprint, self._files)).encode()).hexdigest()[:16]

    def _predicted(self, genomes: Sequence[Genome]) -> list[Metrics]:
        if not self._models:
            self._models = [saved.restored(self.space) for saved in self._saved]
        canonical = [self.space.canonical(genome) for genome in genomes]
        blocks = canonical + canonical[-1:] * (-len(canonical) % BLOCK)
        columns = {}
        for saved, (encoding, predictor) in zip(self._saved, self._models, strict=True):
            features = encoding(blocks)
            parts = np.arange(len(blocks)).reshape(-1, BLOCK)
            with one_thread():
                predictions = [predictor.predict(features.rows(part)) for part in parts]
            means = np.concatenate([prediction.mean for prediction in predictions])
            columns[saved.target.name] = _no_worse(means, saved.target).tolist()
            columns[_std(saved.target.name)] = np.concatenate([p.std for p in predictions]).tolist()
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row, _ in zip(rows, genomes, strict=False)]


def _check_usable(file: Path, saved: SavedPredictor) -> None:
    if saved.measured:
        raise ConfigError(
            f"{file} predicts {saved.target.name} from {', '.join(saved.measured)}, which nobody measures here: fit it "
            f"without --with"
        )
    if of_test_split(saved.target.name):
        raise ConfigError(
            f"{file} predicts {saved.target.name}, and a search never sees the test split: fit a predictor of another "
            f"metric"
        )


def _std(target: str) -> str:
    return f"{target}_std"


def _no_worse(means: np.ndarray, target: Metric) -> np.ndarray:
    if target.worst is None:
        return means
    held: np.ndarray = (np.maximum if target.maximize else np.minimum)(means, target.worst)
    return held
