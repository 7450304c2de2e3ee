"""Cells of NAS-Bench-201 inherit: which operations may follow which without a change of the function."""

from __future__ import annotations

import torch
from morphism_contract import MorphismContract
from one_thread import one_thread  # noqa: F401

from evonas.space import Genome, SearchSpace
from evonas.spaces.cell201 import OPERATIONS, Cell201

EXACT = {("none", "conv_1x1"), ("none", "conv_3x3"), ("conv_1x1", "conv_3x3")}


class TestCell201(MorphismContract):
    parents = 8

    def space(self) -> SearchSpace:
        return Cell201(stem_channels=3, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))

    def preserved(self, parent: Genome, child: Genome) -> bool:
        return all(a == b or (OPERATIONS[a], OPERATIONS[b]) in EXACT for a, b in zip(parent, child, strict=True))


def test_a_convolution_that_replaces_a_skip_hands_on_what_is_not_negative() -> None:
    space = Cell201(stem_channels=4, cells_per_stage=1, stages=1, input_shape=(1, 8, 8))
    skip, images = (0, 0, 0, 1, 0, 0), torch.rand(2, 4, 8, 8)
    parent = space.build(skip).eval()
    for child in ((0, 0, 0, 2, 0, 0), (0, 0, 0, 3, 0, 0)):
        heir = space.build(child).eval()
        heir.load_state_dict(space.morph(skip, child, parent.state_dict(), heir.state_dict()))
        torch.testing.assert_close(heir.body(images), images, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(heir.body(-images), torch.zeros_like(images))
