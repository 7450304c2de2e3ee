"""Trainings that are stopped when even an optimistic end of their learning curve would be dominated."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from evonas.component import Component, checked
from evonas.errors import ConfigError, require
from evonas.evaluation import Candidate, Evaluation, Fidelity, Metric, Outcome, Rejection
from evonas.goals import Goals, Objective
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.space import Metrics, SearchSpace
from evonas.strategies.base import Admit, Strategy

GATE = "pareto stopping"


@dataclass(slots=True)
class _Network:
    """A candidate of the inner strategy, what was measured of it rung by rung, and what is known when it is judged."""

    candidate: Candidate
    settled: int
    curve: list[Metrics] = field(default_factory=list)
    evaluation: Evaluation | None = None
    stopped: bool = False
    would_stop: int | None = None
    """The rung at which one that is trained to the end all the same would have been stopped."""


@dataclass(frozen=True, slots=True)
class Savings:
    """What stopping has come to: networks stopped and trained to the end, seconds of evaluations spent and saved.

    Of the `checked` networks, which were trained to the end although they would have been stopped, `false_stops` are on
    the final front.
    """

    stopped: int
    finished: int
    seconds_spent: float
    seconds_saved: float
    checked: int
    false_stops: int


class ParetoStopping(Strategy):
    """Trains what another `strategy` proposes from rung to rung, and stops what cannot come onto the front any more.

    The rungs are the evaluator's fidelities of the top's source, such as `evaluator.rungs=[1, 2, 4]` of Trained. After
    each rung an optimistic end of the network's learning curve is taken: of an error or loss the value times the best
    ratio of end to now that any network trained to the end has shown from that rung; of other metrics the value plus
    the best such difference; costs are exact. If a member of the front is at least as good in every objective, the
    network is stopped, and the strategy hears of a Rejection. Before `least_curves` networks are trained to the end
    nothing is stopped. A share `checked` of those to be stopped is trained to the end all the same, so that false stops
    can be counted (`savings`).

    Front and curves are those of the outcomes that `strategy` surely had when it proposed the network (`settled`), so
    what is stopped does not depend on the number of workers. With `networks` the search ends when so many have been
    trained to the end or stopped, and is the same on any number of workers. A search's `evaluations`, which count at
    every rung, are its limit as well; where they cut it short, which rungs come last depends on the workers.

    No paper describes this rule; Optuna, whose pruners stop trials of one objective, refuses to prune where there are
    several.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        fidelities: Mapping[Fidelity, Sequence[Metric]],
        *,
        strategy: Component = Component("evonas.strategies.pymoo_nsga2:NSGA2"),
        least_curves: int = 8,
        checked: float = 0.1,
        networks: int | None = None,
    ) -> None:
        super().__init__(space, goals, admit, seed)
        require(
            "networks", networks, networks is None or networks >= 1, "1 or more, or null for no end but evaluations"
        )
        require("least_curves", least_curves, least_curves >= 1, "1 or more")
        require("checked", checked, 0 <= checked <= 1, "a share, from 0 to 1")
        top = list(fidelities)[-1]
        self._budgets = [fidelity.budget for fidelity in fidelities if fidelity.source is top.source]
        if len(self._budgets) < 2:
            raise ConfigError(
                "ParetoStopping judges trainings at rungs, and the evaluator has none: give it some, such as "
                "evaluator.rungs=[1, 2, 4] of evonas.workers.trained:Trained, or take its 'strategy' alone"
            )
        self.least_curves, self.checked, self.networks = least_curves, checked, networks
        self._inner = _inner(strategy, {"space": space, "goals": goals, "admit": admit, "seed": seed})
        self.most_open = self._inner.most_open
        costs = space.costs(space.smallest())
        self._trained = [objective for objective in goals.objectives if objective.metric not in costs]
        self._networks: dict[int, _Network] = {}
        self._climbing: deque[int] = deque()
        self._known: tuple[int, ParetoFront, list[_Network]] = (-1, ParetoFront(goals, ()), [])

    def ask(self, limit: int) -> list[Candidate]:
        """Return networks that go on to their next rung and, if there is room left, new ones."""
        climbing = [self._networks[number] for number, _ in zip(self._climbing, range(limit), strict=False)]
        asked = [self._at_rung(network.candidate, len(network.curve)) for network in climbing]
        room = limit - len(asked)
        left = room if self.networks is None else self.networks - len(self._networks)
        self._inner.warm_start = self.warm_start
        new = self._inner.ask(min(room, left)) if min(room, left) > 0 else []
        new = new if self.networks is None else new[:left]
        asked += [self._at_rung(candidate, 0) for candidate in new]
        self._take(asked, new)
        return asked

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates as asked; those on the lowest rung are new to the inner strategy."""
        new = [self._of_inner(candidate) for candidate in candidates if candidate.id % len(self._budgets) == 0]
        if new:
            self._inner.adopt(new)
        self._take(candidates, new)

    def tell(self, outcome: Outcome) -> None:
        """Let a network climb, or stop it; the inner strategy hears of what fails, is stopped or trained to the end."""
        number, rung = divmod(outcome.candidate.id, len(self._budgets))
        network = self._networks[number]
        if not isinstance(outcome, Evaluation):
            self._inner.tell(replace(outcome, candidate=network.candidate))
            return
        network.curve.append(outcome.metrics)
        if rung == len(self._budgets) - 1:
            network.evaluation = replace(outcome, candidate=network.candidate)
            self._inner.tell(network.evaluation)
        elif network.would_stop is None and (rejection := self._rejection(network)) is not None:
            if self.checked and generator(self.seed, "checked", number).random() < self.checked:
                network.would_stop = rung
                self._climbing.append(number)
            else:
                network.stopped = True
                self._inner.tell(rejection)
        else:
            self._climbing.append(number)

    def remarks(self, evaluations: Sequence[Evaluation]) -> Mapping[str, float]:
        """Return the savings, and what the inner strategy has to say of the networks trained to the end."""
        finished = [network.evaluation for network in self._networks.values() if network.evaluation is not None]
        return {**self._inner.remarks(finished), **asdict(self.savings(evaluations))}

    def fingerprint(self) -> str | None:
        """Return that of the inner strategy."""
        return self._inner.fingerprint()

    def savings(self, evaluations: Iterable[Evaluation]) -> Savings:
        """Return what was saved in a search of these evaluations, all of which were told."""
        seconds: list[list[float]] = [[] for _ in self._budgets]
        for evaluation in evaluations:
            seconds[evaluation.candidate.id % len(self._budgets)].append(evaluation.seconds)
        means = [float(np.mean(rung)) if rung else 0.0 for rung in seconds]
        networks = self._networks.values()
        finished = [network.evaluation for network in networks if network.evaluation is not None]
        front = {member.candidate.id for member in ParetoFront.of(finished, self.goals).members}
        doubted = [n for n in networks if n.would_stop is not None and n.evaluation is not None]
        return Savings(
            stopped=sum(network.stopped for network in networks),
            finished=len(finished),
            seconds_spent=sum(map(sum, seconds)),
            seconds_saved=sum(sum(means[len(network.curve) :]) for network in networks if network.stopped),
            checked=len(doubted),
            false_stops=sum(network.candidate.id in front for network in doubted),
        )

    def _take(self, candidates: Sequence[Candidate], new: Sequence[Candidate]) -> None:
        super().adopt(candidates)
        for candidate in new:
            self._networks[candidate.id] = _Network(candidate, self._inner.settled(candidate))
        climbed = {number for c in candidates if (number := c.id // len(self._budgets)) in self._climbing}
        self._climbing = deque(number for number in self._climbing if number not in climbed)

    def _at_rung(self, candidate: Candidate, rung: int) -> Candidate:
        """Return the candidate that the journal knows: its id tells network and rung, whoever arrives first."""
        rungs = len(self._budgets)
        parents = tuple(parent * rungs for parent in candidate.parents) if rung == 0 else (candidate.id * rungs,)
        return replace(candidate, id=candidate.id * rungs + rung, parents=parents, budget=self._budgets[rung])

    def _of_inner(self, candidate: Candidate) -> Candidate:
        rungs = len(self._budgets)
        parents = tuple(parent // rungs for parent in candidate.parents)
        return replace(candidate, id=candidate.id // rungs, parents=parents, budget=None)

    def _rejection(self, network: _Network) -> Rejection | None:
        """Return why a network is stopped at the rung that it has reached; None if it may go on."""
        front, finished = self._what_was_known(network.settled)
        if len(finished) < self.least_curves or not self._trained:
            return None
        rung = len(network.curve) - 1
        end = {**network.curve[rung], **{o.metric: self._optimistic(o, network, finished) for o in self._trained}}
        losses = self.goals.losses(end)
        dominating = np.flatnonzero((front.losses <= losses).all(axis=1))
        if not len(dominating):
            return None
        judged = self._trained[0].metric
        bound = front.members[int(dominating[0])].metrics[judged]
        epochs = self._budgets[rung]
        return Rejection(network.candidate, f"{GATE} at {epochs} epochs", end[judged], bound)

    def _optimistic(self, objective: Objective, network: _Network, finished: Sequence[_Network]) -> float:
        rung = len(network.curve) - 1
        now = network.curve[rung][objective.metric]
        pairs = np.array([[n.curve[rung][objective.metric], n.curve[-1][objective.metric]] for n in finished])
        if not objective.maximize and now > 0 and (pairs[:, 0] > 0).all():
            return float(now * (pairs[:, 1] / pairs[:, 0]).min())
        gains = pairs[:, 1] - pairs[:, 0]
        return float(now + (gains.max() if objective.maximize else gains.min()))

    def _what_was_known(self, settled: int) -> tuple[ParetoFront, list[_Network]]:
        """Return front and networks trained to the end, of the first so many that the inner strategy proposed."""
        if self._known[0] != settled:
            finished = [n for number, n in sorted(self._networks.items()) if number < settled and n.evaluation]
            front = ParetoFront.of([n.evaluation for n in finished if n.evaluation], self.goals)
            self._known = settled, front, finished
        return self._known[1:]


def _inner(component: Component, supplies: Mapping[str, object]) -> Strategy:
    strategy: Strategy = checked(component, Strategy).build(supplies)
    if type(strategy).settled is Strategy.settled or getattr(strategy, "deterministic", True) is False:
        raise ConfigError(
            f"'strategy: {component.use}' does not say which outcomes it had when it proposed a network, and so what "
            f"may be stopped would depend on the number of workers: take one that breeds by generations, such as "
            f"evonas.strategies.pymoo_nsga2:NSGA2, or in a steady state with 'deterministic: true'"
        )
    return strategy
