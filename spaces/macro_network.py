"""The networks of the NAS-Bench-Macro space, as torch modules."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from evonas.spaces.macro import BLOCKS


class MacroNetwork(nn.Module):
    """Stem, stages of layers and head of NAS-Bench-Macro (Su et al., CVPR 2021); `stages` names their operations.

    Images (batch, input_channels, height, width) to logits (batch, classes).
    """

    def __init__(
        self,
        stages: Sequence[Sequence[str]],
        *,
        stem_channels: int,
        head_channels: int,
        input_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        channels = stem_channels
        self.stem = nn.Sequential(*conv_bn(input_channels, channels, 3), nn.ReLU())
        self.body = nn.Sequential()
        for stage in stages:
            for position, operation in enumerate(stage):
                inputs, stride = (channels, 1) if position else (channels, 2)
                channels = inputs * stride
                self.body.append(layer(operation, inputs, channels, stride))
        self.head = nn.Sequential(
            *conv_bn(channels, head_channels, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(head_channels, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes)."""
        logits: Tensor = self.head(self.body(self.stem(images)))
        return logits


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1; the input is added where its shape is that of the output."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.block = nn.Sequential(
            *conv_bn(inputs, hidden, 1),
            nn.ReLU(),
            *conv_bn(hidden, hidden, kernel, stride=stride, groups=hidden),
            nn.ReLU(),
            *conv_bn(hidden, outputs, 1),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return shape (batch, outputs, ceil(height / stride), ceil(width / stride))."""
        projected: Tensor = self.block(images)
        return images + projected if self.residual else projected


def layer(operation: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the module of an operation."""
    if operation in BLOCKS:
        expansion, kernel = BLOCKS[operation]
        return InvertedResidual(inputs, outputs, expansion=expansion, kernel=kernel, stride=stride)
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(*conv_bn(inputs, outputs, 1, stride=stride))


def conv_bn(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    """Return a convolution without bias that keeps the size at stride 1, and its batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(outputs)
