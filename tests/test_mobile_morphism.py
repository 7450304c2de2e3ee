"""Networks of the mobile space inherit: deeper, wider, with larger kernels, expansions and squeeze-and-excite."""

from __future__ import annotations

from morphism_contract import MorphismContract
from one_thread import one_thread  # noqa: F401

from evonas.space import Genome, SearchSpace
from evonas.spaces.mobile import Mobile


def space(**options: object) -> Mobile:
    given = {"depths": (1, 2), "expansions": (2, 3), "widths": (0.5, 1.0), "input_shape": (1, 16, 16), **options}
    return Mobile(skeleton="tiny", squeeze="block", resolutions=(12, 16), **given)  # type: ignore[arg-type]


class TestMobile(MorphismContract):
    parents = 4

    def space(self) -> SearchSpace:
        return space()

    def preserved(self, parent: Genome, child: Genome) -> bool:
        """What grows; not at another resolution."""
        names = [gene.name for gene in self.space().genes]
        same_size = parent[names.index("resolution")] == child[names.index("resolution")]
        return same_size and all(a <= b for a, b in zip(parent, child, strict=True))


class TestMobileOfStages(TestMobile):
    parents = 2

    def space(self) -> SearchSpace:
        return space(elastic_width="stage")
