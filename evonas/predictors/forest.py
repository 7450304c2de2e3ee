"""A random forest."""

from __future__ import annotations

import numpy as np

from evonas.errors import require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.members import errors_of, pooled
from evonas.seeds import derive_seed


class Forest(Regressor):
    """Random forest (Breiman 2001) on one-hot choices and numbers, a half of which each split sees.

    The deviation comes from errors at rows that trees did not draw (out of bag), and from how much trees differ.
    Deviation from the paper: a half of the columns and not a third, because a one-hot column says little.
    """

    def __init__(self, seed: int, trees: int = 100) -> None:
        require("trees", trees, trees >= 10, "10 or more")
        super().__init__(seed)
        self.trees = trees

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        from sklearn.ensemble import RandomForestRegressor

        matrix, seed = features.matrix(), derive_seed(self.seed, "forest")
        forest = RandomForestRegressor(self.trees, max_features=0.5, n_jobs=1, random_state=seed).fit(matrix, targets)
        trees = [tree.tree_ for tree in forest.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
        leaf = np.concatenate([tree.feature for tree in trees]) < 0
        here = np.arange(len(leaf))
        first = np.repeat(roots, [tree.node_count for tree in trees])
        learnt = {
            "roots": roots,
            "left": np.where(leaf, here, first + np.concatenate([tree.children_left for tree in trees])),
            "right": np.where(leaf, here, first + np.concatenate([tree.children_right for tree in trees])),
            "column": np.where(leaf, 0, np.concatenate([tree.feature for tree in trees])),
            "threshold": np.concatenate([tree.threshold for tree in trees]),
            "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            "depth": np.array(max(tree.max_depth for tree in trees)),
        }
        left_out = [~np.isin(np.arange(len(targets)), rows) for rows in forest.estimators_samples_]
        return {**learnt, "errors": errors_of(_descend(matrix, learnt), left_out, targets)}

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        return pooled(_descend(features.matrix(), learnt), learnt["errors"])


def _descend(matrix: np.ndarray, learnt: Arrays) -> np.ndarray:
    """Return what every tree says of every row, shape (trees, rows); a leaf is its own child."""
    single, rows = matrix.astype(np.float32), np.arange(len(matrix))  # scikit-learn compares single precision, too
    nodes = np.repeat(learnt["roots"][:, None], len(matrix), axis=1)
    for _ in range(int(learnt["depth"])):
        lower = single[rows, learnt["column"][nodes]] <= learnt["threshold"][nodes]
        nodes = np.where(lower, learnt["left"][nodes], learnt["right"][nodes])
    values: np.ndarray = learnt["value"][nodes]
    return values
