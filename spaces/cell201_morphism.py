"""What becomes of a NAS-Bench-201 network's weights when edges of its cell change their operation."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from evonas.space import Genome
from evonas.spaces.cell201 import EDGES, OPERATIONS
from evonas.spaces.net2net import State, grown, silent

_EDGE = re.compile(r"(body\.\d+\.operations\.edge_(\d)_(\d))\.2\.weight")  # of the batch norm that ends an edge


def morphed(parent: Genome, child: Genome, weights: State, fresh: State) -> dict[str, Tensor]:
    """Return the state that a child starts from, see SearchSpace.morph.

    The function stays, in training as in evaluation, where `none` becomes a convolution (its batch norm is zero: a path
    is added as in path-level transforms, Cai et al., ICML 2018, and says nothing yet) and where `conv_1x1` becomes
    `conv_3x3`. Elsewhere it cannot in general: from `skip_connect` to a convolution, which begins with a ReLU, the new
    kernel is the identity, so that what is not negative passes; a `conv_3x3` that becomes `conv_1x1` keeps its centre.
    """
    state = grown(weights, fresh)
    before = {edge: OPERATIONS[option] for edge, option in zip(EDGES, parent, strict=True)}
    for name in fresh:
        if (norm := _EDGE.fullmatch(name)) is None:
            continue
        path, source, target = norm[1], int(norm[2]), int(norm[3])
        match before[source, target]:
            case "none":
                state.update(silent(fresh, f"{path}.2"))
            case "skip_connect":
                kernel = f"{path}.1.weight"
                state[kernel] = torch.nn.init.dirac_(torch.empty_like(fresh[kernel]))
    return state
