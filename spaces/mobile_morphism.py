"""What becomes of a mobile network's weights when it gets deeper, wider or other blocks."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from evonas.spaces.net2net import State, grown, silent

_BLOCK = re.compile(r"(stages\.\d+\.\d+)\.project\.0\.weight")


def morphed(weights: State, fresh: State) -> dict[str, Tensor]:
    """Return the state that a child starts from, see SearchSpace.morph.

    The function stays, in training as in evaluation, where the child has more blocks (their last batch norm is zero, so
    that they add nothing yet), larger kernels or expansions, more channels, or squeeze-and-excite where its parent has
    none: its gates are all 1/2 then, and the projection behind them is doubled. It cannot where anything gets smaller,
    nor at another resolution.
    """
    state = grown(weights, fresh)
    for name in fresh:
        if (block := _BLOCK.fullmatch(name)) is None:
            continue
        path, gates = block[1], f"{block[1]}.excite.squeeze.2"
        if name not in weights:
            state.update(silent(fresh, f"{path}.project.1"))
        elif f"{gates}.weight" in fresh and f"{gates}.weight" not in weights:
            state |= {f"{gates}.{part}": torch.zeros_like(fresh[f"{gates}.{part}"]) for part in ("weight", "bias")}
            state[name] = 2 * state[name]
    return state
