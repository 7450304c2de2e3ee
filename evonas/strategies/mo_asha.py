"""MO-ASHA: asynchronous successive halving with several objectives (Schmucker et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from evonas.component import Component, checked
from evonas.errors import ConfigError, require
from evonas.evaluation import Candidate, Evaluation, Fidelity, Metric, Outcome
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.pymoo_mating import Crossover
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.pymoo_survival import SteadyPopulation
from evonas.strategies.rung import rung_of
from evonas.strategies.steady_state import Offspring
from evonas.strategies.surrogate import Archive, SurrogateStrategy

EXPECTED_HYPERVOLUME = Component("evonas.strategies.expected_hypervolume:ExpectedHypervolume", {"predictions": 1000})


class MOASHA(SteadyStateNSGA2):
    """Looks at many networks cheaply, and promotes the best 1/eta of each rung to the next as soon as they are known.

    The rungs are the evaluator's fidelities. A free worker gets a network of the highest rung that has one to promote:
    one of its best floor(n / eta), of n evaluated there, which is not on the next rung yet. If no rung has, it gets a
    new network for the lowest one. The best are those of the lowest non-dominated rank in their rung; among those of
    one rank, an epsilon-net (Clarkson 2006) takes first the best in the first objective and then always the farthest
    from all that are taken. Networks that break constraints come last, the least violation first.

    Options: `eta`; `proposals`: new networks are drawn at `random`; or bred by `evolution`, with the mating of steady
    NSGA-II (`crossover`, `crossover_probability`, `mutation`); or chosen by a `model`, a strategy with a predictor
    inside, one at a time. These two learn from the highest rung that has seen `population` networks, else the lowest,
    as BOHB (Falkner et al. 2018) models the highest budget that it knows enough of; the first `population` tickets are
    random. `population` tickets are reported as a generation. With `deterministic` and `lag` (default: the population)
    a search is the same on any number of workers, and `lag` of them can be used.

    A search's `evaluations` count at every rung: a network that climbs three rungs counts three times.

    Where a rung does not measure an objective, as a zero-cost proxy does not measure an error, the first metric that it
    declares stands for all such objectives; static costs are exact everywhere. A constraint on what a rung does not
    measure waits for one that does.

    Deviations from the paper: distances are taken with each objective scaled to its range in the front, or its unit
    would decide; the net begins with an extreme and not at random; and outcomes are committed in the order of tickets.
    When nothing new is left to propose, what is open is still awaited and promoted.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        fidelities: Mapping[Fidelity, Sequence[Metric]],
        *,
        eta: int = 3,
        proposals: Literal["random", "evolution", "model"] = "random",
        model: Component = EXPECTED_HYPERVOLUME,
        population: int = 20,
        crossover: Crossover = "uniform",
        crossover_probability: float = 0.9,
        mutation: float | None = None,
        deterministic: bool = True,
        lag: int | None = None,
    ) -> None:
        super().__init__(
            space, goals, admit, seed,
            population=population, crossover=crossover, crossover_probability=crossover_probability, mutation=mutation,
            deterministic=deterministic, lag=lag,
        )  # fmt: skip
        require("eta", eta, eta >= 2, "at least 2")
        if len(fidelities) < 2:
            raise ConfigError(
                "MOASHA climbs from one fidelity to the next, and the evaluator has but one: give it more, such as "
                "evaluator.rungs=[1, 3] of evonas.workers.trained:Trained, or take another strategy"
            )
        self.eta, self.proposals = eta, proposals
        top, costs = list(fidelities)[-1].source, space.costs(space.smallest())
        self._addresses = [(None if f.source is top else f.source, f.budget) for f in fidelities]
        self._rungs = [
            rung_of(goals, {*costs, *(metric.name for metric in metrics)}, metrics[0])
            for metrics in fidelities.values()
        ]
        self._populations = [
            SteadyPopulation(population, len(space.genes), len(rung.goals.objectives)) for rung in self._rungs
        ]
        self._open: dict[int, Genome] = {}
        self._models: list[SurrogateStrategy] = []
        if proposals == "model":
            one = Component(checked(model, SurrogateStrategy).use, {**model.options, "batch": 1})
            supplies = {"space": space, "admit": admit, "seed": seed}
            self._models = [one.build({**supplies, "goals": rung.goals}) for rung in self._rungs]

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates as asked, those above the lowest rung as promoted."""
        super().adopt(candidates)
        for candidate in candidates:
            self._open[candidate.id] = candidate.genome
            if number := self._rung_of(candidate):
                self._rungs[number - 1].promoted.add(candidate.genome)

    def commit(self, evaluation: Evaluation) -> None:
        """Let an evaluation onto its rung."""
        number = self._rung_of(evaluation.candidate)
        rung, id_ = self._rungs[number], evaluation.candidate.id
        rung.add(evaluation)
        self._populations[number].add(
            id_,
            evaluation.candidate.genome,
            rung.goals.losses(evaluation.metrics),
            rung.goals.violation(evaluation.metrics),
            lambda: generator(self.seed, "survive", id_),
        )

    def propose(self, ticket: int) -> Candidate | None:
        """Return the network to promote, else a new one for the lowest rung."""
        if (promoted := self._promotion(ticket)) is not None:
            return promoted
        if (new := super().propose(ticket)) is not None:
            source, budget = self._addresses[0]
            return replace(new, source=source, budget=budget)
        while self.deterministic and (outcome := self._waiting.pop(self._committed, None)) is not None:
            self._commit(outcome)
            if (promoted := self._promotion(ticket)) is not None:
                return promoted
        return None

    def breed(self, rng: np.random.Generator) -> Offspring | None:
        """Return a fresh network, bred or chosen from those of a rung; None where new ones are drawn at random."""
        if self.proposals == "random":
            return None
        known = [number for number, rung in enumerate(self._rungs) if len(rung) >= self.population_size]
        number = max(known, default=0)
        if self.proposals == "model":
            return next(((genome, ()) for genome in self._chosen(number, rng)), None)
        self._population = self._populations[number]
        return super().breed(rng)

    def _chosen(self, number: int, rng: np.random.Generator) -> list[Genome]:
        """Return what the model of a rung chooses: of what is open it predicts what the rung has not measured."""
        rung, model = self._rungs[number], self._models[number]
        measured = {evaluation.candidate.genome for evaluation in rung.evaluations}
        awaited = [genome for genome in self._open.values() if genome not in measured]
        model.goals = rung.goals_so_far()
        return model.chosen(Archive(rung.evaluations, awaited, frozenset(self._seen)), rng)

    def _commit(self, outcome: Outcome) -> None:
        self._open.pop(outcome.candidate.id)
        super()._commit(outcome)

    def _promotion(self, ticket: int) -> Candidate | None:
        """Return who climbs next, from the highest rung that has somebody to promote."""
        for number in reversed(range(len(self._rungs) - 1)):
            if (climber := self._rungs[number].climber(self.eta)) is not None:
                source, budget = self._addresses[number + 1]
                before = climber.candidate
                return Candidate(ticket, before.genome, self.generation_of(ticket), (before.id,), budget, source)
        return None

    def _rung_of(self, candidate: Candidate) -> int:
        return self._addresses.index((candidate.source, candidate.budget))
