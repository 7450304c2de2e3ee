"""The evaluator that scores untrained networks with zero-cost proxies."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evonas.component import Component
from evonas.dataset import Dataset
from evonas.errors import ConfigError, nearest, require
from evonas.evaluation import Evaluator, Metric, Source
from evonas.proxies.expression import load
from evonas.seeds import derive_seed, generator
from evonas.space import Genome, Metrics, SearchSpace
from evonas.workers.devices import choose_device, memory_errors

if TYPE_CHECKING:
    from torch import Tensor

PROXIES = (
    "l2_norm", "synflow", "naswot", "jacob_cov", "epe_nas", "fisher", "grad_norm", "snip", "plain", "zen", "grasp",
)  # fmt: skip
"""The proxies that ship, a function in a module of its own of that name in `workers/proxies`; the cheapest first."""

_NEVER_NEGATIVE = frozenset({"l2_norm", "synflow", "naswot", "epe_nas", "fisher", "grad_norm", "snip"})
"""Sums of what is not negative; and naswot, because a determinant of whole numbers that is not 0 is 1 or more."""


class ZeroCost(Evaluator):
    """Scores networks as they are initialised, on one minibatch, with `proxies`; of each, more is better.

    These ship: l2_norm, synflow, naswot, jacob_cov, epe_nas, fisher, grad_norm, snip, plain, zen and grasp. Others are
    named by their import path, `package.module:function`: a function of network, inputs and labels that leaves the
    network as it was. The metric has the function's name. `expressions` are files of evolved proxies (see
    `proxies/evolved.py`) by the names of their metrics. The minibatch, `batch_size` random examples of the training
    split, is the same for all networks of a run; initial weights come from the run's seed and the network. A score that
    is not finite fails its candidate.

    Scores that are never negative have the worst value 0, from which a hypervolume is measured; for the others an
    objective says it: `{metric: jacob_cov, worst: -1000}`. `device` "auto" is what the pool gave to the worker.
    """

    source = Source.ZERO_COST

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        seed: int,
        *,
        proxies: Sequence[str] = ("synflow", "naswot"),
        expressions: Mapping[str, Path] = {},
        batch_size: int = 64,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> None:
        super().__init__(space, seed)
        require("batch_size", batch_size, batch_size >= 2, "2 or more")
        self.data = data
        self.batch_size = min(batch_size, len(data.train))
        self.device = device
        self._components = {use.partition(":")[2]: Component(use) for use in map(_path, proxies)}
        if len(self._components) < max(0 if expressions else 1, len(proxies)):
            raise ConfigError(f"'proxies' must name at least one function, each once, and is {list(proxies)}")
        if named := [name for name in expressions if name in self._components or not name.isidentifier()]:
            raise ConfigError(f"'expressions' must have names of their own, such as 'evolved', and has {named[0]!r}")
        self._expressions = {name: load(Path(file)) for name, file in expressions.items()}
        self.metrics = (
            *(
                Metric(name, maximize=True, worst=0.0 if _shipped(component) and name in _NEVER_NEGATIVE else None)
                for name, component in self._components.items()
            ),
            *(Metric(name, maximize=True) for name in self._expressions),
        )
        self._functions: dict[str, Callable[..., Any]] = {}
        self._minibatch: tuple[Tensor, Tensor] | None = None

    def fingerprint(self) -> str | None:
        """Return a hash of the expressions; None if there are none."""
        plain = {name: expression.tree for name, expression in self._expressions.items()}
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16] if plain else None

    @memory_errors()
    def prepare(self) -> None:
        """Import torch and the proxies, and bring the minibatch to the device."""
        from evonas.workers.examples import Examples
        from evonas.workers.proxies.evolved import evolved

        if self._minibatch is None:
            split = self.data.train.sample(self.batch_size, generator(self.seed, "minibatch"))
            self._functions = {name: component.load() for name, component in self._components.items()}
            self._functions |= {name: partial(evolved, of) for name, of in self._expressions.items()}
            self._minibatch = Examples.of(self.data, split, choose_device(self.device)).batch(slice(None))

    def minibatch(self) -> tuple[Tensor, Tensor]:
        """Return inputs and labels of the minibatch, on the device."""
        self.prepare()
        assert self._minibatch is not None
        return self._minibatch

    @memory_errors()
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the scores of the untrained network; the budget changes nothing."""
        return self.scores(genome, {})

    def scores(self, genome: Genome, seconds: dict[str, float]) -> dict[str, float]:
        """Return the scores of the untrained network, and note the CPU seconds of each proxy in `seconds`."""
        from evonas.workers.training import seeded

        inputs, labels = self.minibatch()
        seed, scores = self.seed_for(genome), {}
        with seeded(seed, inputs.device):
            network = self.space.build(genome).to(inputs.device)
        for name, proxy in self._functions.items():
            began = time.process_time()
            with seeded(derive_seed(seed, name), inputs.device):
                scores[name] = float(proxy(network, inputs, labels))
            seconds[name] = time.process_time() - began
        return scores


def _path(proxy: str) -> str:
    """Return the import path of a proxy."""
    if ":" in proxy:
        return proxy
    if proxy not in PROXIES:
        raise ConfigError(f"'proxies' names '{proxy}', which does not ship{nearest(proxy, PROXIES)}")
    return f"evonas.workers.proxies.{proxy}:{proxy}"


def _shipped(component: Component) -> bool:
    return component.use.startswith("evonas.workers.proxies.")
