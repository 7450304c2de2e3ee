"""A small ensemble of neural networks, pretrained on what is free to know (torch)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evonas.errors import DataError, require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.columns import Columns
from evonas.predictors.members import errors_of, held_out, pooled
from evonas.seeds import generator

_BATCH = 64
_DECAY = 0.05
_TRUNK = ("first", "first_bias", "second", "second_bias")


class Ensemble(Regressor):
    """Deep ensemble (Lakshminarayanan et al., NeurIPS 2017): networks of two hidden layers, and a linear part beside.

    `pretrain` lets the hidden layers learn exact static costs and features from the choices (FBNetV3, Dai et al., CVPR
    2021), of thousands of genomes that nobody measured; `fit` goes on, with these as inputs of the linear part.
    Deviations from the papers: all members learn squared errors, each without a fifth of the rows, from whose errors
    there the deviation comes; the whole network is fine-tuned, not the last layer first.
    """

    def __init__(
        self, seed: int, members: int = 5, hidden: int = 48, steps: int = 400, learning_rate: float = 0.01
    ) -> None:
        require("members", members, members >= 1, "1 or more")
        require("hidden", hidden, hidden >= 1, "1 or more")
        require("steps", steps, steps >= 1, "1 or more")
        require("learning_rate", learning_rate, 0 < learning_rate < 1, "between 0 and 1")
        super().__init__(seed)
        self.members = members
        self.hidden = hidden
        self.steps = steps
        self.learning_rate = learning_rate
        self._trunk: tuple[Columns, dict[str, np.ndarray]] | None = None

    def pretrain(self, features: Features) -> None:
        """Let the hidden layers learn the numbers from the choices: what `fit` learns then starts from there."""
        columns = Columns.of(features)
        rows = columns(features)
        genes, numbers = rows[:, ~columns.numeric], rows[:, columns.numeric]
        if not numbers.shape[1]:
            return
        rng = generator(self.seed, "pretraining")
        start = {**self._layers(genes.shape[1], rng), **self._head("costs", self.hidden, numbers.shape[1], rng)}
        everyone = [np.ones(len(features), dtype=bool)] * self.members

        def outputs(weights: dict[str, Any], genes: Any, tanh: Callable[[Any], Any]) -> Any:
            return _hidden(weights, genes, tanh) @ weights["costs"] + weights["costs_bias"]

        learnt = self._descended(outputs, start, (genes,), numbers, everyone, rng)
        self._trunk = columns, {name: learnt[name] for name in _TRUNK}

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        rng = generator(self.seed, "ensemble")
        columns, trunk = self._trunk or (Columns.of(features), None)
        if len(columns.center) != features.matrix().shape[1]:
            raise DataError("'pretrain' saw features of another space: give it those of the space that 'fit' is given")
        rows = columns(features)
        genes = rows[:, ~columns.numeric]
        trunk = self._layers(genes.shape[1], rng) if trunk is None else trunk
        start = {**trunk, **self._head("deep", self.hidden, 1, rng), **self._head("direct", rows.shape[1], 1)}
        left_out = held_out(len(targets), self.members, rng)
        weights = self._descended(_outputs, start, (genes, rows), targets[:, None], [~rows for rows in left_out], rng)
        predictions = _outputs(weights, genes, rows, np.tanh)[:, :, 0]
        return {**columns.arrays(), **weights, "errors": errors_of(predictions, left_out, targets)}

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        columns = Columns.from_arrays(learnt)
        rows = columns(features)
        return pooled(_outputs(learnt, rows[:, ~columns.numeric], rows, np.tanh)[:, :, 0], learnt["errors"])

    def _layers(self, inputs: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        first, second = (
            self._head("first", inputs, self.hidden, rng),
            self._head("second", self.hidden, self.hidden, rng),
        )
        return {**first, **second}

    def _head(
        self, name: str, inputs: int, outputs: int, rng: np.random.Generator | None = None
    ) -> dict[str, np.ndarray]:
        """Return weights and biases of a linear layer of every member: random ones, or zeros."""
        weights = np.zeros((self.members, inputs, outputs))
        if rng is not None:
            weights += rng.normal(size=weights.shape) / np.sqrt(max(inputs, 1))
        return {name: weights, f"{name}_bias": np.zeros((self.members, 1, outputs))}

    def _descended(
        self,
        outputs: Callable[..., Any],
        start: dict[str, np.ndarray],
        inputs: tuple[np.ndarray, ...],
        targets: np.ndarray,
        learns: list[np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:
        """Return the weights after `steps` of AdamW on batches that each member draws from the rows that it learns."""
        import torch

        rows = [np.flatnonzero(mask) for mask in learns]
        weights = {name: torch.tensor(array, dtype=torch.float32, requires_grad=True) for name, array in start.items()}
        known = [torch.tensor(array, dtype=torch.float32) for array in (*inputs, targets)]
        optimizer = torch.optim.AdamW(list(weights.values()), lr=self.learning_rate, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            drawn = torch.from_numpy(np.array([rng.choice(own, _BATCH) for own in rows]))
            *seen, wanted = (array[drawn] for array in known)
            loss = ((outputs(weights, *seen, torch.tanh) - wanted) ** 2).mean(dim=(1, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return {name: tensor.detach().double().numpy() for name, tensor in weights.items()}


def _hidden(weights: Any, genes: Any, tanh: Callable[[Any], Any]) -> Any:
    """Return the second hidden layer, shape (members, rows, units); arrays may be numpy's or torch's."""
    return tanh(tanh(genes @ weights["first"] + weights["first_bias"]) @ weights["second"] + weights["second_bias"])


def _outputs(weights: Any, genes: Any, rows: Any, tanh: Callable[[Any], Any]) -> Any:
    """Return what every member predicts, shape (members, rows, 1)."""
    deep = _hidden(weights, genes, tanh) @ weights["deep"] + weights["deep_bias"]
    return deep + rows @ weights["direct"] + weights["direct_bias"]
