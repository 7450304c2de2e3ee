"""Epochs to the same validation error, of children that start from their parent's weights and from scratch.

    python experiments/benchmarks/morphisms.py [--pairs N] [--most K] [EXPERIMENT [KEY=VALUE ...]]

The experiment, quickstart.yaml unless another is named, says space, data and recipe; it must train. A parent is a
uniform network, a child differs from it in one gene, both in canonical form. Parents are trained from scratch for the
recipe's epochs, and so are children: the error that they come to is the goal. Then each child is trained for k = 1, 2,
... K epochs in three ways: from its parent's weights, at the learning rates of the last k epochs of the recipe, as
`inherit: parents` does; from its parent's weights, with the recipe's schedule made k epochs long (restarted); and so
from scratch. How many have come to the goal by then says what inheriting saves. A child is exact if it computes what
its parent computes, to 1e-5 on the validation split.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evonas import config
from evonas.compose import Search, prepare
from evonas.seeds import generator
from evonas.space import Genome
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.trained import Trained
from evonas.workers.training import Training, score, seeded

EXPERIMENT = Path(__file__).resolve().parents[1] / "quickstart.yaml"
SEED = 0
WAYS = ("inherited", "restarted", "from scratch")


@dataclass(frozen=True)
class Pair:
    """What a parent and its child came to: errors by epochs, and how far their functions were apart at first."""

    parent: float
    child: float
    before: float
    apart: float
    errors: dict[str, list[float]]


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    search = prepare(config.load(options.experiment, [*options.changes, "tracking=null"]))
    bench = Bench(search)
    pairs = []
    for number, (parent, child) in enumerate(families(search, options.pairs), start=1):
        pairs.append(pair := bench.measure(parent, child, options.most))
        print(
            f"{number}/{options.pairs} {list(parent)} -> {list(child)} ({'exact' if exact(pair) else 'altered'}): "
            f"parent {pair.parent:.4f}, child {pair.child:.4f}, untrained heir {pair.before:.4f}; "
            + "; ".join(f"{way} {' '.join(f'{error:.4f}' for error in row)}" for way, row in pair.errors.items()),
            flush=True,
        )
    report("all pairs", pairs, bench.recipe.epochs)
    for name, kept in (("exact", True), ("altered", False)):
        if chosen := [pair for pair in pairs if exact(pair) is kept]:
            report(name, chosen, bench.recipe.epochs)


class Bench:
    """Trains networks as the experiment's evaluator does."""

    def __init__(self, search: Search) -> None:
        evaluator, data = search.evaluator, search.data
        if not isinstance(evaluator, Trained) or data is None:
            raise SystemExit(f"{search.experiment.evaluator.use} does not train: name an experiment with Trained")
        self.space, self.evaluator, self.recipe = search.space, evaluator, evaluator.recipe
        cpu = torch.device("cpu")
        self.train, self.valid = (Examples.of(data, split, cpu) for split in (data.train, data.valid))

    def measure(self, parent: Genome, child: Genome, most: int) -> Pair:
        """Train both, and the child in all ways."""
        ancestor, scratch, heir = self.built(parent), self.built(child), self.built(child)
        grown = self.trained(parent, ancestor, self.recipe)
        goal = self.trained(child, scratch, self.recipe)
        heir.load_state_dict(self.space.morph(parent, child, ancestor.state_dict(), heir.state_dict()))
        begin = {name: value.clone() for name, value in heir.state_dict().items()}
        before, apart = score(heir, self.valid, self.recipe).error, self.apart(ancestor, heir)
        errors: dict[str, list[float]] = {way: [] for way in WAYS}
        for epochs in range(1, most + 1):
            short = replace(self.recipe, epochs=epochs)
            for way, row in errors.items():
                network = self.built(child)
                if way != "from scratch":
                    network.load_state_dict(begin)
                late = way == "inherited"
                recipe, after = (self.recipe, self.recipe.epochs - epochs) if late else (short, 0)
                row.append(self.trained(child, network, recipe, after))
        return Pair(grown, goal, before, apart, errors)

    def built(self, genome: Genome) -> nn.Module:
        with seeded(self.evaluator.seed_for(genome), torch.device("cpu")):
            return self.space.build(genome)

    def trained(self, genome: Genome, network: nn.Module, recipe: Recipe, after: int = 0) -> float:
        """Return the validation error after the epochs of the recipe that are left."""
        seed = self.evaluator.seed_for(genome)
        with seeded(seed, torch.device("cpu")):
            Training(network, self.train, recipe, seed, after).run(recipe.epochs)
            return score(network, self.valid, recipe).error

    def apart(self, ancestor: nn.Module, heir: nn.Module) -> float:
        """Return the largest difference of their logits on the validation split."""
        with torch.inference_mode():
            inputs = self.valid.batch(slice(len(self.valid)))[0]
            return float((ancestor.eval()(inputs) - heir.eval()(inputs)).abs().max())


def families(search: Search, count: int) -> list[tuple[Genome, Genome]]:
    """Return parents and children, all canonical: a child has one gene redrawn before it is made so."""
    rng, space, found = generator(SEED, "morphisms"), search.space, dict[tuple[Genome, Genome], None]()
    while len(found) < count:
        parent = space.canonical(space.sample(rng))
        gene = int(rng.integers(len(space.genes)))
        options = len(space.genes[gene].options)
        redrawn = (parent[gene] + 1 + int(rng.integers(options - 1))) % options
        child = space.canonical((*parent[:gene], redrawn, *parent[gene + 1 :]))
        if child != parent:
            found.setdefault((parent, child))
    return list(found)


def exact(pair: Pair) -> bool:
    return pair.apart < 1e-5


def report(name: str, pairs: list[Pair], epochs: int) -> None:
    """Print, for each number of epochs, mean errors and how many pairs have come to the child's full error."""
    goals = np.array([pair.child for pair in pairs])
    print(f"\n{name}: {len(pairs)}; mean error of children after all {epochs} epochs {goals.mean():.4f}")
    print(f"{'epochs':>8}" + "".join(f"{way:>14}{'reached':>9}" for way in WAYS))
    errors = {way: np.array([pair.errors[way] for pair in pairs]) for way in WAYS}
    reached = {way: np.minimum.accumulate(each, axis=1) <= goals[:, None] for way, each in errors.items()}
    print(f"{0:8}{np.mean([pair.before for pair in pairs]):14.4f}")
    for k in range(errors["inherited"].shape[1]):
        print(f"{k + 1:8}" + "".join(f"{errors[way][:, k].mean():14.4f}{reached[way][:, k].sum():9}" for way in WAYS))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--most", type=int, default=6)
    parser.add_argument("experiment", type=Path, nargs="?", default=EXPERIMENT)
    parser.add_argument("changes", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    main()
