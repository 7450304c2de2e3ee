"""The networks of the mobile space, as torch modules."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from evonas.spaces.macro_network import conv_bn
from evonas.spaces.mobile_costs import Block, Plan


class MobileNetwork(nn.Module):
    """A MobileNetV3 (Howard et al., ICCV 2019): images (batch, channels, height, width) to logits (batch, classes).

    Images of another size than the plan's are brought to it bilinearly, with antialiasing, by the network itself. Block
    l of stage s has the same name in every network, `stages.s.l`, so that networks can share weights by name.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.size = plan.size
        stem = conv_bn(plan.image_channels, plan.stem_channels, 3, stride=plan.stem_stride)
        self.stem = nn.Sequential(*stem, nn.Hardswish())
        self.first = InvertedResidual(plan.first)
        self.stages = nn.ModuleList(nn.Sequential(*map(InvertedResidual, stage)) for stage in plan.stages)
        self.head = nn.Sequential(
            *conv_bn(plan.stages[-1][-1].outputs, plan.head_channels, 1),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(plan.head_channels, plan.feature_channels, bias=False),
            nn.Hardswish(),
            nn.Linear(plan.feature_channels, plan.classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes)."""
        if images.shape[-2:] != self.size:
            images = functional.interpolate(images, self.size, mode="bilinear", antialias=True)
        images = self.first(self.stem(images))
        for stage in self.stages:
            images = stage(images)
        logits: Tensor = self.head(images)
        return logits


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, squeeze and excite, project 1x1; the input is added where the plan says so."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        activation = nn.Hardswish if block.hard_swish else nn.ReLU
        hidden = block.hidden
        self.expand = nn.Sequential(*conv_bn(block.inputs, hidden, 1), activation()) if block.expands else nn.Identity()
        self.depthwise = nn.Sequential(
            *conv_bn(hidden, hidden, block.kernel, stride=block.stride, groups=hidden), activation()
        )
        self.excite = SqueezeExcite(hidden, block.squeezed) if block.squeezed else nn.Identity()
        self.project = nn.Sequential(*conv_bn(hidden, block.outputs, 1))
        self.residual = block.residual

    def forward(self, images: Tensor) -> Tensor:
        """Return shape (batch, outputs, ceil(height / stride), ceil(width / stride))."""
        projected: Tensor = self.project(self.excite(self.depthwise(self.expand(images))))
        return images + projected if self.residual else projected


class SqueezeExcite(nn.Module):
    """Weighs channels by what their means say (Hu et al., CVPR 2018); a hard sigmoid, as in MobileNetV3."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(channels, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, channels, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the shape of `images`."""
        squeezed = self.squeeze(images.mean((2, 3), keepdim=True))
        excited: Tensor = images * (functional.relu6(squeezed + 3) / 6)  # torch's own has no second derivative
        return excited
