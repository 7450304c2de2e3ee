"""What networks that were trained on their own say of the search that had evaluated them cheaply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evonas.agreement import Agreement, Interval, agreement, bootstrap, percentiles
from evonas.audit_plan import Plan, by_fidelity
from evonas.confidence import confidence
from evonas.evaluation import Evaluation, Fidelity, Source
from evonas.goals import Goals, Objective
from evonas.history import History
from evonas.pareto import normalised_hypervolume, ranks
from evonas.seeds import generator
from evonas.space import Genome, Metrics

SUBSETS = 1_000
"""Sets of random networks that a front is compared with."""

Trainings = Mapping[Genome, Sequence[Metrics]]
"""What each network measured, with one seed after the other; a network that failed with one of them is not there."""

Pair = tuple[Objective, Objective]
"""What a run measured, and what it is compared with in an audit: metrics with their directions."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How the values of a fidelity order networks: their `agreement` with `against`, trained on their own.

    `among` says which networks: the "sample", which stands for all that were evaluated, or the "front".
    """

    source: Source
    budget: int | None
    metric: str
    against: str
    among: str
    agreement: Agreement | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the chosen front: what the search took it for, and what training says; None if training failed.

    `regret` is by how much the first objective would have to improve for no other network of the audit to dominate the
    member: another one, no worse in the other objectives, is better by that. `probability` is that of being
    non-dominated among the networks that were trained with several seeds.
    """

    id: int
    genome: Genome
    searched: Mapping[str, float]
    trained: Mapping[str, float] | None
    regret: float | None
    probability: float | None


@dataclass(frozen=True, slots=True)
class Against:
    """The hypervolumes of `members` of the chosen front and of `networks` random networks, trained the same way.

    Both are means over sets of so many, drawn from those that were trained; 95 of 100 sets of random networks lie
    within the bounds, and `share_beaten` of them have less than `front`.
    """

    members: int
    networks: int
    front: float
    random: Interval
    share_beaten: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that an audit has come to; None where too little was trained to say it.

    `chosen` is the hypervolume of the chosen front as trained, and `chosen_interval` that of its expectation, where
    there are several seeds; `best` is that of all networks of the run that were trained. `improvement` is the relative
    improvement RI = 100 (Acc_m - Acc_r) / Acc_r (Yang, Esperanca and Carlucci, "NAS evaluation is frustratingly hard",
    ICLR 2020) of the front's mean accuracy over the mean of the random networks; `improvement_of_best` is that of the
    member which the search took for the best in its first objective, None where its training failed. `same_size`
    compares the front with as many random networks, `same_time` with as many as could have been trained in the
    `search_seconds` of the run's evaluations, at `training_seconds` each; a supernet's or predictor's own training is
    not in them. Both draw at most half of the random networks that were trained, so that sets of them differ.
    """

    trusts: Sequence[Trust]
    members: Sequence[Member]
    chosen: float
    chosen_interval: Interval | None
    best: float
    improvement: Interval | None
    improvement_of_best: float | None
    same_size: Against | None
    same_time: Against | None
    search_seconds: float
    training_seconds: float

    @property
    def affordable(self) -> int:
        """How many networks could have been trained in the time of the search's evaluations."""
        return int(self.search_seconds / self.training_seconds) if self.training_seconds > 0 else 0


def verdict(
    history: History,
    plan: Plan,
    goals: Goals,
    pairs: Mapping[Fidelity, Sequence[Pair]],
    accuracy: Callable[[Metrics], float] | None,
    trainings: Trainings,
    training_seconds: float,
) -> Verdict:
    """Compare a run with the trainings of its audit.

    `goals` are the run's, in terms of what was trained; `pairs` say which metric of a fidelity should order networks
    as which that was trained. Comparisons take the first seed alone, so that all networks are trained alike;
    further seeds give the probabilities and the interval of the hypervolume. The best of noisy measurements is partly
    lucky: regrets are too large by that.
    """
    seed = int(history.config.get("seed", 0))
    first = {genome: trained[0] for genome, trained in trainings.items()}
    losses = {genome: goals.losses(metrics) for genome, metrics in first.items() if goals.feasible(metrics)}
    front, rivals, random = (
        [genome for genome in genomes if genome in losses] for genomes in (plan.front, plan.of_the_run, plan.random)
    )
    probabilities, interval = _certainty(front, goals, trainings, seed)

    def member(evaluation: Evaluation) -> Member:
        genome = evaluation.candidate.genome
        return Member(
            id=evaluation.candidate.id,
            genome=genome,
            searched={name: evaluation.metrics[name] for name in history.goals.metrics},
            trained={name: first[genome][name] for name in goals.metrics} if genome in first else None,
            regret=_regret(losses[genome], _stacked(losses, rivals)) if genome in losses else None,
            probability=probabilities.get(genome),
        )

    def hypervolume(genomes: Sequence[Genome]) -> float:
        return normalised_hypervolume(_stacked(losses, genomes), goals) if genomes else 0.0

    def against(members: int, others: int) -> Against | None:
        rng = generator(seed, "audit", "random networks", members, others)
        return _against(front, members, random, others, hypervolume, rng)

    size = min(len(front), len(random) // 2)
    affordable = int(history.evaluated_seconds / training_seconds) if training_seconds > 0 else 0
    improvements = _improvements(front, plan.front[:1], random, first, accuracy, seed)
    return Verdict(
        trusts=_trusts(history, plan, pairs, first, seed),
        members=[member(evaluation) for evaluation in history.front.members],
        chosen=hypervolume(front),
        chosen_interval=interval,
        best=hypervolume(rivals),
        improvement=improvements[0],
        improvement_of_best=improvements[1],
        same_size=against(size, size),
        same_time=against(len(front), affordable) if 2 * affordable <= len(random) else None,
        search_seconds=history.evaluated_seconds,
        training_seconds=training_seconds,
    )


def near_front(goals: Goals, trained: Mapping[Genome, Metrics]) -> list[Genome]:
    """Return the networks of the first two non-domination ranks, which further seeds may put on the front."""
    feasible = [genome for genome, metrics in trained.items() if goals.feasible(metrics)]
    if not feasible:
        return []
    ranked = ranks(np.array([goals.losses(trained[genome]) for genome in feasible]))
    return [genome for genome, rank in zip(feasible, ranked.tolist(), strict=True) if rank <= 1]


def _stacked(losses: Mapping[Genome, np.ndarray], genomes: Sequence[Genome]) -> np.ndarray:
    return np.array([losses[genome] for genome in genomes])


def _regret(losses: np.ndarray, rivals: np.ndarray) -> float:
    """Return by how much a rival that is no worse in the other objectives is better in the first; it is a rival too."""
    no_worse = (rivals[:, 1:] <= losses[1:]).all(axis=1)
    return float(losses[0] - rivals[no_worse, 0].min())


def _trusts(
    history: History,
    plan: Plan,
    pairs: Mapping[Fidelity, Sequence[Pair]],
    trained: Mapping[Genome, Metrics],
    seed: int,
) -> list[Trust]:
    """Compare each fidelity with the trainings: over the sample drawn for it, and over its networks on the front."""
    trusts = []
    for fidelity, evaluations in by_fidelity(history).items():
        values = {evaluation.candidate.genome: evaluation.metrics for evaluation in evaluations}
        among = {"sample": plan.sample.get(fidelity, ()), "front": [g for g in plan.front if g in values]}
        for searched, true in pairs.get(fidelity, ()):
            for name, genomes in among.items():
                known = [genome for genome in genomes if genome in trained]
                cheap = np.array([searched.loss(values[genome][searched.metric]) for genome in known])
                truth = np.array([true.loss(trained[genome][true.metric]) for genome in known])
                rng = generator(seed, "audit", "agreement", fidelity.source, fidelity.budget, searched.metric, name)
                found = agreement(cheap, truth, rng)
                trusts.append(Trust(fidelity.source, fidelity.budget, searched.metric, true.metric, name, found))
    return trusts


def _certainty(
    front: Sequence[Genome], goals: Goals, trainings: Trainings, seed: int
) -> tuple[dict[Genome, float], Interval | None]:
    """Return the probabilities of networks that have all seeds, and the interval of the front's hypervolume."""
    seeds = max((len(trained) for trained in trainings.values()), default=1)
    if seeds == 1:
        return {}, None

    def repeated(genomes: Iterable[Genome]) -> dict[Genome, np.ndarray]:
        return {g: np.array([goals.losses(m) for m in trainings[g]]) for g in genomes if len(trainings[g]) == seeds}

    everybody, members = repeated(trainings), repeated(front)
    if not members:
        return {}, None
    rng = generator(seed, "audit", "confidence")
    probabilities = confidence(np.array(list(everybody.values())), goals, rng).probabilities
    interval = confidence(np.array(list(members.values())), goals, rng).hypervolume
    return dict(zip(everybody, probabilities.tolist(), strict=True)), interval


def _improvements(
    front: Sequence[Genome],
    best: Sequence[Genome],
    random: Sequence[Genome],
    trained: Mapping[Genome, Metrics],
    accuracy: Callable[[Metrics], float] | None,
    seed: int,
) -> tuple[Interval | None, float | None]:
    """Return RI of the front's mean, with an interval over resamples of the random networks, and of its `best`."""
    if accuracy is None or not front or not random:
        return None, None
    members = [accuracy(trained[genome]) for genome in front]
    others = np.array([accuracy(trained[genome]) for genome in random])
    if others.mean() <= 0:
        return None, None

    def improvement(of: float, over: np.ndarray) -> float:
        return float(100 * (of - over.mean()) / over.mean())

    mean = float(np.mean(members))
    rng = generator(seed, "audit", "improvement")
    of_best = improvement(members[0], others) if front[0] in best else None
    return bootstrap(lambda resampled: improvement(mean, resampled), others, rng), of_best


def _against(
    front: Sequence[Genome],
    members: int,
    random: Sequence[Genome],
    others: int,
    hypervolume: Callable[[Sequence[Genome]], float],
    rng: np.random.Generator,
) -> Against | None:
    """Compare `members` of the front with `others` of the random networks; None where there are not so many."""
    if not (0 < members <= len(front) and 0 < others <= len(random)):
        return None

    def hypervolumes(genomes: Sequence[Genome], count: int) -> np.ndarray:
        sets = SUBSETS if count < len(genomes) else 1
        return np.array([hypervolume([genomes[i] for i in rng.permutation(len(genomes))[:count]]) for _ in range(sets)])

    chosen, drawn = float(hypervolumes(front, members).mean()), hypervolumes(random, others)
    return Against(
        members, others, chosen, Interval(float(drawn.mean()), *percentiles(drawn)), float((drawn < chosen).mean())
    )
