"""The supernet of the mobile space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.spaces.entangled_supernet import EntangledSupernet
from evonas.spaces.mobile import Mobile


class MobileSupernet(EntangledSupernet):
    """MobileNetV3s on the weights of the largest, as in Once-for-All (Cai et al., ICLR 2020).

    A network has the first blocks of each stage, and of each layer the first channels, inside a block and inside its
    squeeze-and-excite too. A small kernel is the centre of the next larger one, put through a matrix that all channels
    of the block share and that is learnt, one for each step (7 to 5 to 3); without `kernel_transformation` it is the
    centre itself. At the start the two are the same.

    Deviations: the matrices are kept as their difference from the identity, so that weight decay draws them there and
    not to zero; channels are never sorted by importance, because all widths are trained from the start.
    """

    space: Mobile

    def __init__(self, space: Mobile, *, kernel_transformation: bool = True) -> None:
        super().__init__(space)
        self.transformations = nn.ParameterDict()
        if kernel_transformation:
            for stage, blocks in enumerate(space.plan(space.largest()).stages):
                for block in range(len(blocks)):
                    for smaller in space.kernels[:-1]:
                        difference = nn.Parameter(torch.zeros(smaller**2, smaller**2))
                        self.transformations[_key(stage, block, smaller)] = difference

    def take(self, path: str, shape: torch.Size) -> Callable[[], Tensor]:
        """Return what gives the parameter of this path and shape."""
        if not path.endswith("depthwise.0.weight") or shape[-1] == self.weight(path).shape[-1]:
            return super().take(path, shape)
        _, stage, block, *_ = path.split(".")
        channels, _, kernel, _ = shape
        smaller = [size for size in reversed(self.space.kernels[:-1]) if size >= kernel]
        steps = [(size, _key(int(stage), int(block), size)) for size in smaller]

        def taken() -> Tensor:
            weight: Tensor = self.weight(path)[:channels]
            if not self.transformations:
                return _centre(weight, kernel)
            for size, key in steps:
                centre = _centre(weight, size).flatten(1)
                weight = (centre + functional.linear(centre, self.transformations[key])).view(-1, 1, size, size)
            return weight

        return taken


def _centre(kernels: Tensor, size: int) -> Tensor:
    margin = (kernels.shape[-1] - size) // 2
    return kernels[..., margin : margin + size, margin : margin + size]


def _key(stage: int, block: int, kernel: int) -> str:
    return f"{stage}/{block}/to_{kernel}"
