"""Networks of NAS-Bench-Macro inherit: blocks are added and enlarged without a change of the function."""

from __future__ import annotations

from morphism_contract import MorphismContract
from one_thread import one_thread  # noqa: F401

from evonas.space import Genome, SearchSpace
from evonas.spaces.macro import Macro


class TestMacro(MorphismContract):
    parents = 6

    def space(self) -> SearchSpace:
        return Macro(stem_channels=2, layers_per_stage=(2, 2), head_channels=8, input_shape=(1, 8, 8))

    def preserved(self, parent: Genome, child: Genome) -> bool:
        """What grows, but an identity that halves the image: it is a convolution of another kind."""
        grows = all(a <= b for a, b in zip(parent, child, strict=True))
        return grows and all(a > 0 or b == 0 for a, b in zip(parent[::2], child[::2], strict=True))
