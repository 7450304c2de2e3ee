"""Proxies that are expressions of the statistics of a network's layers: read, checked and computed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evonas.errors import DataError, nearest

STATISTICS = (
    "depth", "weights", "outputs", "weight_size", "weight_deviation", "weight_norm",
    "gradient_size", "gradient_deviation", "gradient_norm", "saliency", "activation_size", "activation_deviation",
    "activation_norm", "delta_size", "delta_deviation", "delta_norm", "fisher", "code_volume", "flow",
)  # fmt: skip
"""What is known of each layer, see workers/proxies/layer_statistics.py."""

MOST_NODES = 500
"""Of an expression that is read."""

_LEAST = 1e-12  # below it a number counts as zero in `log` and `divide`

ELEMENTWISE: Mapping[str, tuple[int, Callable[..., np.ndarray]]] = {
    "absolute": (1, np.abs),
    "negate": (1, np.negative),
    "square": (1, np.square),
    "root": (1, lambda values: np.sqrt(np.abs(values))),
    "log": (1, lambda values: np.log(np.maximum(np.abs(values), _LEAST))),
    "add": (2, np.add),
    "subtract": (2, np.subtract),
    "multiply": (2, np.multiply),
    "divide": (2, lambda above, below: above * (np.abs(below) > _LEAST) / np.where(np.abs(below) > _LEAST, below, 1.0)),
}
"""Operations on numbers, a layer at a time or of the whole network, with how many they take.

`root` and `log` are of absolute values, `log` of 1e-12 at least; what is divided by less than 1e-12 is 0.
"""

REDUCTIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "sum": lambda values, there: np.sum(values, axis=1, where=there, keepdims=True),
    "mean": lambda values, there: np.mean(values, axis=1, where=there, keepdims=True),
    "deviation": lambda values, there: np.std(values, axis=1, where=there, keepdims=True),
    "maximum": lambda values, there: np.max(values, axis=1, where=there, keepdims=True, initial=-np.inf),
    "minimum": lambda values, there: np.min(values, axis=1, where=there, keepdims=True, initial=np.inf),
}
"""What makes one number of a network of those of its layers."""

Tree = str | float | tuple["str | Tree", ...]
"""The name of a statistic, a constant, or the name of an operation and what it takes."""


@dataclass(frozen=True)
class Layers:
    """Statistics of the layers of several networks: `values`, shape (networks, layers, statistics).

    Networks have fewer layers than the deepest: `there`, shape (networks, layers), says which rows are layers.
    """

    statistics: Sequence[str]
    values: np.ndarray
    there: np.ndarray

    @classmethod
    def of(cls, statistics: Sequence[str], tables: Sequence[np.ndarray]) -> Layers:
        """Join the tables of networks, shape (layers, statistics) each, at least one layer."""
        most = max(len(table) for table in tables)
        values = np.stack([np.pad(table, ((0, most - len(table)), (0, 0))) for table in tables])
        there = np.arange(most) < np.array([len(table) for table in tables])[:, None]
        return cls(tuple(statistics), values, there)

    def rows(self, index: np.ndarray) -> Layers:
        """Return these networks."""
        return Layers(self.statistics, self.values[index], self.there[index])


@dataclass(frozen=True)
class Expression:
    """A proxy: an expression of statistics of layers that is one number of a network."""

    tree: Tree

    @classmethod
    def parsed(cls, plain: object, statistics: Sequence[str] = STATISTICS) -> Expression:
        """Return the expression that a JSON value is: a name, a number, or a list of an operation and what it takes.

        Raises DataError for what is none, or is not one number of a network.
        """
        if len(_nodes(plain)) > MOST_NODES:
            raise DataError(f"an expression has at most {MOST_NODES} names and numbers: write a shorter one")
        tree = _checked(plain, statistics)
        if _of_layers(tree, statistics):
            raise DataError(
                f"'{json.dumps(tree)}' is a number of each layer: make it one of the network, with "
                f"{', '.join(REDUCTIONS)}"
            )
        return cls(tree)

    def __len__(self) -> int:
        """Return how many names and numbers it has."""
        return len(_nodes(self.tree))

    def __str__(self) -> str:
        return _written(self.tree)

    def scores(self, layers: Layers) -> np.ndarray:
        """Return the number of each network, shape (networks,): not finite where it overflows."""
        with np.errstate(all="ignore"):
            scores = _computed(self.tree, layers)
        return np.broadcast_to(scores, (len(layers.values), 1))[:, 0]

    def save(self, path: Path, facts: Mapping[str, object]) -> None:
        """Write the expression as JSON, along with what is to be said of it."""
        path.write_text(json.dumps({"expression": self.tree, **facts}, indent=1) + "\n", encoding="utf-8")


def load(path: Path, statistics: Sequence[str] = STATISTICS) -> Expression:
    """Return the expression of a file; raise DataError if it holds none. Nothing in the file is executed."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the expression {path} cannot be read: {error}") from error
    if not isinstance(plain, dict) or "expression" not in plain:
        raise DataError(f'{path} must be a JSON object with an \'expression\', such as ["sum", "saliency"]')
    try:
        return Expression.parsed(plain["expression"], statistics)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _nodes(plain: object) -> list[object]:
    """Return the names and numbers of a tree, as they are read; without recursion, since a file may nest deeply."""
    nodes, left = [], [plain]
    while left:
        node = left.pop()
        if isinstance(node, list | tuple):
            left.extend(reversed(node))
        else:
            nodes.append(node)
    return nodes


def _checked(plain: object, statistics: Sequence[str]) -> Tree:
    if isinstance(plain, str):
        if plain not in statistics:
            raise DataError(f"'{plain}' is no statistic of layers{nearest(plain, statistics)}")
        return plain
    if isinstance(plain, int | float) and not isinstance(plain, bool) and math.isfinite(plain):
        return float(plain)
    if not isinstance(plain, list | tuple) or not plain or not isinstance(plain[0], str):
        raise DataError(f"{plain!r} is no expression: write a name, a finite number, or [operation, what it takes]")
    name, *taken = plain
    if name not in ELEMENTWISE and name not in REDUCTIONS:
        raise DataError(f"'{name}' is no operation{nearest(name, [*ELEMENTWISE, *REDUCTIONS])}")
    number = ELEMENTWISE[name][0] if name in ELEMENTWISE else 1
    if len(taken) != number:
        raise DataError(f"'{name}' takes {number}, not {len(taken)}: {json.dumps(plain)}")
    arguments = [_checked(part, statistics) for part in taken]
    if name in REDUCTIONS and not _of_layers(arguments[0], statistics):
        raise DataError(f"'{name}' takes a number of each layer, and {json.dumps(arguments[0])} is one of the network")
    return (name, *arguments)


def _of_layers(tree: Tree, statistics: Sequence[str]) -> bool:
    """Say whether a checked tree is a number of each layer."""
    if isinstance(tree, tuple):
        return tree[0] not in REDUCTIONS and any(_of_layers(part, statistics) for part in tree[1:])
    return isinstance(tree, str)


def _computed(tree: Tree, layers: Layers) -> np.ndarray:
    """Return shape (networks, layers) for a number of each layer, else (networks or 1, 1)."""
    if isinstance(tree, str):
        return layers.values[:, :, layers.statistics.index(tree)]
    if isinstance(tree, float):
        return np.array([[tree]])
    name = str(tree[0])
    arguments = [_computed(part, layers) for part in tree[1:]]
    return REDUCTIONS[name](arguments[0], layers.there) if name in REDUCTIONS else ELEMENTWISE[name][1](*arguments)


def _written(tree: Tree) -> str:
    if isinstance(tree, tuple):
        return f"{tree[0]}({', '.join(_written(part) for part in tree[1:])})"
    return tree if isinstance(tree, str) else f"{tree:g}"
