"""What the networks of the NASNet cell space cost: parameters and multiply-adds by arithmetic, no network is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

AUXILIARY_CHANNELS = (128, 768)
"""Channels of the two convolutions of the auxiliary head."""


class Price(NamedTuple):
    """Trainable parameters, and multiply-adds of one image."""

    params: int
    macs: int


class Layer(NamedTuple):
    """One cell of the stack: its channels (of a block), what it is and what it follows.

    Sizes are (height, width): of the last cell's images, to which those of the cell before are brought, and of its own.
    """

    channels: int
    reduction: bool
    after_reduction: bool
    input_size: tuple[int, int]
    output_size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The stack that cells are put into: 3 `channels` from the stem, `layers` cells, reductions at 1/3 and 2/3.

    The channels of a block double at a reduction or, if `increment` is not 0, grow by that much from cell to cell.
    """

    channels: int
    layers: int
    increment: int
    input_shape: tuple[int, int, int]
    classes: int
    auxiliary: bool

    @property
    def stem_channels(self) -> int:
        """Channels that leave the stem."""
        return 3 * self.channels

    @property
    def reductions(self) -> tuple[int, int]:
        """The numbers, from 0, of the two reduction cells; the auxiliary head reads the second."""
        return self.layers // 3, 2 * self.layers // 3

    def plan(self) -> list[Layer]:
        """Return the cells, first to last."""
        channels, size = self.channels, self.input_shape[1:]
        layers: list[Layer] = []
        for number in range(self.layers):
            reduction, input_size = number in self.reductions, size
            if reduction:
                channels *= 1 if self.increment else 2
                size = _halved(size)
            after_reduction = bool(layers) and layers[-1].reduction
            layers.append(Layer(channels, reduction, after_reduction, input_size, size))
            channels += self.increment
        return layers

    def operation_prices(self, operations: Sequence[str]) -> tuple[list[Price], list[tuple[Price, Price]]]:
        """Return what an operation costs in all normal cells, and in all reduction cells on a block and on an input."""
        plan = self.plan()
        normal = [layer for layer in plan if not layer.reduction]
        reductions = [layer for layer in plan if layer.reduction]
        return (
            [
                _sum(operation_price(name, layer.channels, layer.output_size, 1) for layer in normal)
                for name in operations
            ],
            [
                (
                    _sum(operation_price(name, layer.channels, layer.output_size, 1) for layer in reductions),
                    _sum(operation_price(name, layer.channels, layer.input_size, 2) for layer in reductions),
                )
                for name in operations
            ],
        )

    def frame_price(self, normal_width: int, reduction_width: int) -> Price:
        """Return the price of all but the operations, for cells that concatenate so many blocks.

        These are the stem, the preprocessing of the cells' two inputs, the classifier and, where there is one, the
        auxiliary head, which has no part in the multiply-adds: it is only used in training.
        """
        channels = self.stem_channels
        prices = [_convolution(self.input_shape[0], channels, 9, self.input_shape[1:])]
        inputs = channels, channels
        auxiliary_inputs = 0
        for number, layer in enumerate(self.plan()):
            prices += [_convolution(width, layer.channels, 1, layer.input_size) for width in inputs]
            inputs = inputs[1], layer.channels * (reduction_width if layer.reduction else normal_width)
            if number == self.reductions[1]:
                auxiliary_inputs = inputs[1]
        prices.append(Price((inputs[1] + 1) * self.classes, inputs[1] * self.classes))
        if self.auxiliary:
            first, second = AUXILIARY_CHANNELS
            head = (
                _convolution(auxiliary_inputs, first, 1, (0, 0)).params + _convolution(first, second, 4, (0, 0)).params
            )
            prices.append(Price(head + (second + 1) * self.classes, 0))
        return _sum(prices)


def operation_price(name: str, channels: int, size: tuple[int, int], stride: int) -> Price:
    """Return the price of one operation on images of this size (height, width); its output is ceil(size / stride)."""
    halved = size if stride == 1 else _halved(size)
    kind, _, kernel = name.rpartition("_")
    if kind in ("max_pool", "avg_pool") or (name == "skip_connect" and stride == 1):
        return Price(0, 0)
    if name == "skip_connect":
        return _convolution(channels, channels, 1, halved)
    if name == "conv_7x1_1x7":
        macs = 7 * channels**2 * (size[0] * halved[1] + halved[0] * halved[1])
        return Price(14 * channels**2 + 2 * channels, macs)
    taps, pixels = int(kernel[0]) ** 2, halved[0] * halved[1]
    separable = Price(
        taps * channels + channels**2 + 2 * channels,
        (taps * channels + channels**2) * pixels,
    )
    if kind == "dil_conv":
        return separable
    if kind == "sep_conv":
        return Price(2 * separable.params, 2 * separable.macs)
    expansion = _convolution(channels, channels, 1, size)
    return Price(expansion.params + separable.params + 2 * channels, expansion.macs + separable.macs)  # inv_res


def _convolution(inputs: int, outputs: int, taps: int, size: tuple[int, int]) -> Price:
    """Return the price of a convolution without bias to images of this size, and its batch norm."""
    return Price(taps * inputs * outputs + 2 * outputs, taps * inputs * outputs * size[0] * size[1])


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _sum(prices: Iterable[Price]) -> Price:
    listed = list(prices)
    return Price(sum(price.params for price in listed), sum(price.macs for price in listed))
