"""What strategies with a predictor inside share: a design of experiments, then batches chosen by prediction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from threading import Thread
from typing import Any, Literal

import numpy as np

from evonas.component import Component, checked
from evonas.errors import require
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.pareto import ParetoFront
from evonas.predictor import Predictor
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy
from evonas.strategies.surrogate_model import LossModel, Networks, PredictedLosses
from evonas.strategies.surrogate_search import evolved
from evonas.threads import one_thread

Design = Literal["uniform", "extremes"]

LISTED = 20_000
"""Of a space with at most so many genomes networks are predicted at random, without a search.

So they are of a space that holds a list of its networks, as a table does; and not many more than these for a batch.
"""

LARGE = 500
"""Evaluations of an archive from which `predictions` of a listed space are predicted, and no more."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What a batch is chosen from: evaluations, networks whose outcomes are open, and all that were ever proposed."""

    evaluations: Sequence[Evaluation]
    open: Sequence[Genome]
    taken: Set[Genome]


@dataclass(frozen=True, slots=True)
class Batch:
    """Networks that are proposed one after the other; the first has the ticket `first`."""

    generation: int
    first: int
    genomes: Sequence[Genome]


class SurrogateStrategy(Strategy):
    """Fits a predictor to what is evaluated, and proposes batches that it chooses among predicted networks.

    Options of all: `initial` networks are evaluated before anything is predicted, by a `design`: "uniform"; or
    "extremes", with the smallest and the largest network among them. Then come batches of `batch`, each chosen with a
    new `predictor`, one for each metric that is measured, among networks of which about `predictions` are predicted.

    A candidate's id is its ticket. The batch that begins with ticket k is chosen from exactly the outcomes of tickets 0
    to k - 1 - `lag`, and knows which networks the later ones are; so candidates depend neither on the number of
    workers, nor on the order of arrival, nor on the limits of `ask`. With a lag the choice overlaps evaluations: it is
    made in a thread as soon as the outcomes that it needs are in, while the last `lag` are awaited. A lag of the number
    of workers keeps them all busy. With a lag of 0 they wait for the last of a batch and for the choice, which `ask`
    makes and which knows more.

    A replay computes nothing: the first `ask` after it does. Gates count networks of the initial design that they turn
    away; later ones are chosen among those that gates let through, and what was never chosen saved nothing.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component,
        initial: int,
        design: Design,
        batch: int,
        lag: int,
        predictions: int,
    ) -> None:
        super().__init__(space, goals, admit, seed)
        require("initial", initial, initial >= 2, "at least 2")
        require("batch", batch, batch >= 1, "at least 1")
        require("lag", lag, lag >= 0, "at least 0")
        require("predictions", predictions, predictions >= batch, "at least the batch")
        self.predictor = checked(predictor, Predictor)
        self._model  # noqa: B018  # built for the refusals of predictors
        self.initial = initial
        self.design = design
        self.batch_size = batch
        self.lag = lag
        self.predictions = predictions
        self.most_open = batch + lag
        self._proposed: list[Genome] = []
        self._outcomes: dict[int, Outcome] = {}
        self._known = 0
        self._batch: Batch | None = None
        self._ahead: tuple[int, Future[Batch]] | None = None

    @abstractmethod
    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return fresh networks, the best first; uniform ones fill the batch if they are too few.

        The archive holds two evaluations or more. Called in a thread: it changes nothing.
        """

    def fitted(self, archive: Archive) -> LossModel:
        """Return a model of the losses that is fitted to the archive."""
        self._model.fit(archive.evaluations)
        return self._model

    def front(self, archive: Archive, model: LossModel) -> np.ndarray:
        """Return the losses of the archive's front and, as predicted, of the networks whose outcomes are open."""
        front = ParetoFront.of(archive.evaluations, self.goals).losses
        awaited = model.predict(model.networks(archive.open))
        return np.concatenate([front, awaited.losses[awaited.violations <= 0]])

    def candidates(
        self,
        archive: Archive,
        model: LossModel,
        rng: np.random.Generator,
        *,
        optimism: float = 0.0,
        repair: Callable[[Genome], Genome] = lambda genome: genome,
    ) -> tuple[Sequence[Genome], PredictedLosses]:
        """Return fresh networks that are worth a look, and what the model predicts of them.

        They are `predictions` networks: of a table, or a space of at most `LISTED` genomes, all or, anew for each
        batch, uniform ones (more from an archive of less than `LARGE`, as many as take no longer, up to `LISTED`); else
        those that NSGA-II meets which starts from the archive's front and minimises expected losses less `optimism`
        times their deviations. None is among them that `repair` would change, but for its canonical form.
        """
        if self._listed is not None:
            genomes = self._listed.genomes
            rows = [n for n, genome in enumerate(genomes) if genome not in archive.taken and repair(genome) == genome]
            affordable = self.predictions * max(LARGE, len(archive.evaluations)) // len(archive.evaluations)
            count = min(affordable, max(LISTED, self.predictions))
            listed = self._listed.rows(rng.permutation(np.array(rows, dtype=int))[:count])
            return listed.genomes, model.predict(listed)

        def fresh(genome: Genome) -> Genome | None:
            found = self.fresh(repair(genome), archive.taken, counted=False)
            if found is None or found == self.space.canonical(repair(found)):
                return found
            return None  # the space lacks the repaired genome, and what is nearest needs repair again

        return evolved(
            self.space,
            model,
            [member.candidate.genome for member in ParetoFront.of(archive.evaluations, self.goals).members],
            fresh,
            predictions=self.predictions,
            optimism=optimism,
            rng=rng,
        )

    def ask(self, limit: int) -> list[Candidate]:
        """Return what is left of the batch, at most `limit`, or begin the next one if its outcomes are in."""
        first = self._first_of(self._next_id)
        if self._batch is None or self._batch.first != first:
            if self._known < first - self.lag:
                return []
            self._batch = self._next_batch(first)
        offset, generation = self._next_id - first, self._batch.generation
        genomes = self._batch.genomes[offset : offset + limit]
        asked = [Candidate(self._next_id + number, genome, generation) for number, genome in enumerate(genomes)]
        self.adopt(asked)
        self._look_ahead()
        return asked

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take tickets as handed out; what is fresh is asked of an archive, not of all that was handed out."""
        self._proposed.extend(candidate.genome for candidate in candidates)
        self._next_id = len(self._proposed)

    def tell(self, outcome: Outcome) -> None:
        """Keep an outcome until its turn, and begin to choose the next batch if it was the last that this needs."""
        self._outcomes[outcome.candidate.id] = outcome
        while self._known in self._outcomes:
            self._known += 1
        self._look_ahead()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: a thread, and what it may be writing to, stays behind."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("_model", "_listed")}
        return {**state, "_ahead": None}

    @cached_property
    def _model(self) -> LossModel:
        return LossModel(self.space, self.goals, self.predictor, self.seed)

    @cached_property
    def _listed(self) -> Networks | None:
        genomes = self.space.networks(LISTED)
        if genomes is None:
            return None
        return self._model.networks([genome for genome in genomes if self.admit(genome, counted=False)])

    @cached_property
    def _design(self) -> list[Genome]:
        rng, counted = self.generator(0), not self._proposed  # a resumed search has counted what is turned away
        extremes = (self.space.smallest(), self.space.largest()) if self.design == "extremes" else ()
        admitted = (self.fresh(genome, (), initial=True, counted=counted) for genome in extremes)
        drawn = list(dict.fromkeys(genome for genome in admitted if genome is not None))[: self.initial]
        while len(drawn) < self.initial:
            genome = self.draw(rng, drawn, initial=True, counted=counted)
            if genome is None:
                break
            drawn.append(genome)
        return drawn

    def _first_of(self, ticket: int) -> int:
        """Return the first ticket of the batch that has this one."""
        later = ticket - len(self._design)
        return ticket - later % self.batch_size if later >= 0 else 0

    def _next_batch(self, first: int) -> Batch:
        """Return the batch that begins with this ticket, from the thread that chooses it if there is one."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == first:
            return ahead[1].result()
        return self._choice(first)()

    def _look_ahead(self) -> None:
        """Begin to choose the batch after the current one, in a thread, if what it needs is in and others are awaited.

        Nobody waits for the thread of a batch that is never asked for.
        """
        if self._batch is None or self._ahead is not None or not self.lag:
            return
        first = self._batch.first + len(self._batch.genomes)
        exhausted = self._first_of(first) != first or not self._batch.genomes
        if exhausted or self._known < first - self.lag:
            return
        future: Future[Batch] = Future()
        Thread(target=_fulfil, args=(future, self._choice(first)), name="surrogate", daemon=True).start()
        self._ahead = first, future

    def _choice(self, first: int) -> Callable[[], Batch]:
        """Return the computation of the batch that begins with this ticket, which needs nothing that will change."""
        if first == 0:
            return lambda: Batch(0, 0, self._design)
        proposed = self._proposed[:first]
        if self._batch is not None:
            proposed = [*proposed[: self._batch.first], *self._batch.genomes][:first]
        closed = max(0, first - self.lag)
        outcomes = [self._outcomes[ticket] for ticket in range(closed)]
        evaluations = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
        archive = Archive(evaluations, proposed[closed:], frozenset(proposed))
        generation = 1 + (first - len(self._design)) // self.batch_size
        return lambda: Batch(generation, first, self.chosen(archive, self.generator(generation)))

    def chosen(self, archive: Archive, rng: np.random.Generator) -> list[Genome]:
        """Return a batch of fresh networks for the archive; fewer where the space is exhausted."""
        with one_thread(of="blas"):
            chosen = list(self.choose(archive, rng))[: self.batch_size] if len(archive.evaluations) >= 2 else []
        while len(chosen) < self.batch_size:
            genome = self.draw(rng, archive.taken | set(chosen), counted=False)
            if genome is None:
                break
            chosen.append(genome)
        return chosen


def _fulfil(future: Future[Batch], compute: Callable[[], Batch]) -> None:
    try:
        future.set_result(compute())
    except BaseException as error:  # whoever awaits the batch is told
        future.set_exception(error)
