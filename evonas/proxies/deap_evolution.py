"""Genetic programming of proxies: expressions of statistics of layers that rank networks as their accuracies do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from deap import gp
from scipy.stats import kendalltau

from evonas.errors import require
from evonas.proxies.expression import ELEMENTWISE, REDUCTIONS, Expression, Layers, Tree
from evonas.seeds import drawing_from, generator

HEIGHT = 8
"""Of a tree, at most."""

NODES = 30
"""Of a tree, at most."""

TOURNAMENT = 4
"""Trees that compete to be a parent."""

CROSSED = 0.5
"""Probability that a child has two parents."""


@dataclass(frozen=True)
class Evolved:
    """The best expression, its Kendall tau on what it was selected by, and in how many generations it was found."""

    expression: Expression
    tau: float
    generations: int


def evolved(
    layers: Layers,
    accuracies: np.ndarray,
    known: Sequence[Expression],
    seed: int,
    *,
    population: int = 300,
    generations: int = 60,
    patience: int = 12,
    parsimony: float = 0.001,
) -> Evolved:
    """Return the expression whose scores of the networks agree best with their `accuracies`, shape (networks,).

    Strongly typed genetic programming (Montana 1995), on the trees and operators of DEAP (Fortin et al. 2012), as EMQ
    (Dong et al. 2023) and EZNAS (Akhauri et al. 2022) search proxies: a tree is an expression of layers, what reduces
    it to one number of the network, and an expression of such numbers. The fitness is Kendall's tau less `parsimony`
    times the tree's nodes; a tree has at most `NODES` of them, and height `HEIGHT`. The first population are the
    `known` expressions and random trees; each generation has as many children as parents, and the fittest of both
    stay, of trees with the same tau the smallest alone. The search ends early when for `patience` generations nothing
    fitter was found. The same arguments give the same expression, in any process.
    """
    require("population", population, population >= 2, "at least 2")
    primitives = _primitives(tuple(layers.statistics))
    taus: dict[Expression, float] = {}

    def fitness(tree: gp.PrimitiveTree) -> tuple[float, float]:
        """Return the fitness and the tau that it is made of."""
        expression = _expression(tree)
        if expression not in taus:
            taus[expression] = tau(expression.scores(layers), accuracies)
        return taus[expression] - parsimony * len(tree), taus[expression]

    with drawing_from(generator(seed, "evolved proxies"), (gp,)) as chance:
        drawn = (_random(primitives) for _ in range(population - len(known)))
        trees = _fittest([*(_tree(expression, primitives) for expression in known), *drawn], fitness, population)
        best, found, generation = trees[0], 0, 0
        while generation < generations and generation - found < patience:
            generation += 1
            children = [_child(trees, primitives, chance) for _ in range(population)]
            trees = _fittest([*trees, *children], fitness, population)
            if fitness(trees[0]) > fitness(best):
                best, found = trees[0], generation
    return Evolved(_expression(best), fitness(best)[1], found)


def tau(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """Return Kendall's tau of scores and accuracies, shape (networks,): -1 where a score is not finite or all agree."""
    if not np.isfinite(scores).all() or np.ptp(scores) == 0:
        return -1.0
    return float(kendalltau(scores, accuracies).statistic)


class _Column:
    """The type of what is a number of each layer."""


class _Number:
    """The type of what is one number of a network."""


@cache
def _primitives(statistics: tuple[str, ...]) -> gp.PrimitiveSetTyped:
    primitives = gp.PrimitiveSetTyped("proxy", [], _Number)
    for name in statistics:
        primitives.addTerminal(name, _Column, name=name)
    primitives.addEphemeralConstant("constant", _constant, _Number)
    for name, (number, function) in ELEMENTWISE.items():
        for kind in (_Column, _Number):
            primitives.addPrimitive(function, [kind] * number, kind, name=f"{name} {kind.__name__}")
    for name in ("add", "multiply"):
        primitives.addPrimitive(ELEMENTWISE[name][1], [_Column, _Number], _Column, name=f"{name} both")
    for name, reduction in REDUCTIONS.items():
        primitives.addPrimitive(reduction, [_Column], _Number, name=name)
    return primitives


def _constant() -> float:
    return round(gp.random.gauss(0.0, 1.0), 2)  # type: ignore[no-any-return]  # lent by `drawing_from`


def _random(primitives: gp.PrimitiveSetTyped) -> gp.PrimitiveTree:
    return gp.PrimitiveTree(gp.genHalfAndHalf(primitives, min_=1, max_=4))


def _fittest(
    trees: Iterable[gp.PrimitiveTree], fitness: Callable[[gp.PrimitiveTree], tuple[float, float]], count: int
) -> list[gp.PrimitiveTree]:
    """Return the fittest, the best first; of those with the same tau the first, which is among the smallest."""
    order = sorted(trees, key=fitness, reverse=True)
    return list({fitness(tree)[1]: tree for tree in reversed(order)}.values())[::-1][:count]


def _child(trees: Sequence[gp.PrimitiveTree], primitives: gp.PrimitiveSetTyped, chance: random.Random) -> Any:
    """Return a child of one or two winners of tournaments; the first parent where it would be too large."""

    def winner() -> gp.PrimitiveTree:
        return trees[min(chance.randrange(len(trees)) for _ in range(TOURNAMENT))]

    first = winner()
    child = gp.PrimitiveTree(first)
    if chance.random() < CROSSED:
        child = _crossed(child, winner(), chance)
    else:
        mutations: list[Callable[[], Any]] = [
            lambda: gp.mutUniform(child, partial(gp.genHalfAndHalf, min_=0, max_=2), primitives),
            lambda: gp.mutNodeReplacement(child, primitives),
            lambda: gp.mutInsert(child, primitives),
            lambda: gp.mutShrink(child),
            lambda: gp.mutEphemeral(child, "one"),
        ]
        (child,) = chance.choice(mutations)()
    return child if len(child) <= NODES and child.height <= HEIGHT else first


def _crossed(child: gp.PrimitiveTree, other: gp.PrimitiveTree, chance: random.Random) -> gp.PrimitiveTree:
    """Put a subtree of `other` in the place of one of its type: DEAP's own draws from a set, whose order may change."""
    place = chance.randrange(len(child))
    alike = [number for number, node in enumerate(other) if node.ret is child[place].ret]
    if alike:
        child[child.searchSubtree(place)] = other[other.searchSubtree(chance.choice(alike))]
    return child


def _expression(tree: gp.PrimitiveTree) -> Expression:
    nodes = iter(tree)

    def read() -> Tree:
        node = next(nodes)
        if node.arity:
            return (node.name.partition(" ")[0], *(read() for _ in range(node.arity)))
        return node.value if isinstance(node.value, float) else str(node.value)

    return Expression(read())


def _tree(expression: Expression, primitives: gp.PrimitiveSetTyped) -> gp.PrimitiveTree:
    nodes: list[Any] = []

    def write(tree: Tree) -> type:
        """Append the nodes of a tree; return its type."""
        if isinstance(tree, float):
            constant = primitives.mapping["constant"]()
            constant.value = tree
            nodes.append(constant)
        elif isinstance(tree, str):
            nodes.append(primitives.mapping[tree])
        else:
            place = len(nodes)
            nodes.append(None)
            kinds = [write(part) for part in tree[1:]]
            if tree[0] in REDUCTIONS:
                name = str(tree[0])
            else:
                name = f"{tree[0]} {kinds[0].__name__ if len(set(kinds)) == 1 else 'both'}"
            nodes[place] = primitives.mapping[name]
        return nodes[place if isinstance(tree, tuple) else -1].ret  # type: ignore[no-any-return]

    write(expression.tree)
    return gp.PrimitiveTree(nodes)
