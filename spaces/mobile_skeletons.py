"""The skeletons that the mobile space comes in, each with the options that are its own."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """What a stage's blocks share: channels at width 1, the stride of the first block, what MobileNetV3 has there."""

    channels: int
    stride: int
    squeezed: bool
    hard_swish: bool


class Skeleton(NamedTuple):
    """What networks share, and their options; channels are those at width 1, and all are multiples of `divisor`.

    No resolutions stand for that of the data.
    """

    stem_channels: int
    stem_stride: int
    stages: tuple[Stage, ...]
    head_channels: int
    feature_channels: int
    divisor: int
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]


_IMAGENET = Skeleton(
    stem_channels=16,
    stem_stride=2,
    stages=(
        Stage(24, 2, squeezed=False, hard_swish=False),
        Stage(40, 2, squeezed=True, hard_swish=False),
        Stage(80, 2, squeezed=False, hard_swish=True),
        Stage(112, 1, squeezed=True, hard_swish=True),
        Stage(160, 2, squeezed=True, hard_swish=True),
    ),
    head_channels=960,
    feature_channels=1280,
    divisor=8,
    depths=(2, 3, 4),
    kernels=(3, 5, 7),
    expansions=(3.0, 4.0, 6.0),
    widths=(1.0, 1.2),
    resolutions=tuple(range(128, 225, 4)),
)

_SMALL = _IMAGENET._replace(
    stem_stride=1,
    stages=(_IMAGENET.stages[0]._replace(stride=1), *_IMAGENET.stages[1:]),
    widths=(0.5, 0.75, 1.0),
    resolutions=(),
)

_TINY = Skeleton(
    stem_channels=8,
    stem_stride=1,
    stages=(
        Stage(12, 2, squeezed=False, hard_swish=False),
        Stage(24, 2, squeezed=True, hard_swish=True),
        Stage(40, 1, squeezed=True, hard_swish=True),
    ),
    head_channels=120,
    feature_channels=160,
    divisor=4,
    depths=(1, 2, 3),
    kernels=(3, 5),
    expansions=(2.0, 3.0, 4.0),
    widths=(0.5, 1.0),
    resolutions=(),
)

SKELETONS = {"imagenet": _IMAGENET, "small": _SMALL, "tiny": _TINY}
"""The skeletons by name."""
