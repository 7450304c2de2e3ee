"""What becomes of a NAS-Bench-Macro network's weights when layers change their operation."""

from __future__ import annotations

from torch import Tensor

from evonas.space import Genome
from evonas.spaces.macro import BLOCKS, OPERATIONS
from evonas.spaces.net2net import State, grown, silent

_LAST_NORM = 7  # in the sequence that a block is


def morphed(parent: Genome, child: Genome, weights: State, fresh: State) -> dict[str, Tensor]:
    """Return the state that a child starts from, see SearchSpace.morph.

    The function stays, in training as in evaluation, where an identity between equal shapes becomes a block (the block
    adds nothing yet: its last batch norm is zero) and where `mb3_k3` becomes `mb6_k5`. Elsewhere it cannot in general.
    """
    state = grown(weights, fresh)
    for layer, (was, is_) in enumerate(zip(parent, child, strict=True)):
        added = OPERATIONS[was] not in BLOCKS and OPERATIONS[is_] in BLOCKS
        if added and f"body.{layer}.0.weight" not in weights:  # an identity that no shape changes in
            state.update(silent(fresh, f"body.{layer}.block.{_LAST_NORM}"))
    return state
