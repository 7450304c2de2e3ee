"""What the networks of a search have come to, for their children to start from."""

from __future__ import annotations

import json
from collections.abc import Sequence

from safetensors import SafetensorError
from torch import nn

from evonas.errors import DataError
from evonas.space import Genome, SearchSpace
from evonas.workers.weight_store import WeightStore


class ParentWeights:
    """Weights and statistics of each network that was trained to its end, in the `store` of the run of this `seed`.

    What a child measures depends on them. So a search is stopped, with a DataError, where they cannot be kept or are
    not there any more: it never goes on with other numbers than it would have had.
    """

    def __init__(self, store: WeightStore, space: SearchSpace, seed: int) -> None:
        self._store, self._space, self._seed = store, space, seed

    def hand_on(self, network: nn.Module, genome: Genome, parents: Sequence[Genome]) -> int:
        """Give the genome's network the weights of the nearest of its parents; return the epochs that went into them.

        The nearest differs in the fewest genes, the first of equals. The space says what becomes of its weights.
        """
        nearest = min(parents, key=lambda parent: sum(a != b for a, b in zip(parent, genome, strict=True)))
        if (kept := self._store.load(self._key(nearest))) is None:
            raise DataError(
                f"the weights of {list(nearest)}, from which {list(genome)} is to start, are not whole in "
                f"{self._store.folder}: bring them back and resume, or start a new run; all workers must share this "
                f"folder"
            )
        weights, facts = kept
        network.load_state_dict(self._space.morph(nearest, genome, weights, network.state_dict()))
        return int(facts["epochs"])

    def keep(self, network: nn.Module, genome: Genome, epochs: int) -> None:
        """Keep a network's weights, and how many epochs went into them, those of its ancestors included."""
        try:
            self._store.keep(self._key(genome), network.state_dict(), {"epochs": str(epochs)})
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"the weights of {list(genome)} cannot be kept in {self._store.folder} for its children ({error}): "
                f"mend that and resume; the run folder must be one that all workers share"
            ) from error

    def _key(self, genome: Genome) -> str:
        return json.dumps([self._seed, list(self._space.canonical(genome))])
