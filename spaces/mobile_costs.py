"""What the networks of the mobile space are made of, and what they cost by arithmetic: no network is built."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Layer(NamedTuple):
    """An inverted residual block on images of this size, (height, width).

    `squeezed` are the channels inside its squeeze-and-excite, 0 if it has none.
    """

    inputs: int
    hidden: int
    outputs: int
    kernel: int
    stride: int
    squeezed: int
    hard_swish: bool
    expands: bool
    residual: bool
    size: tuple[int, int]

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        return strided(self.size, self.stride)


class Price(NamedTuple):
    """Trainable parameters, multiply-adds of one image, and the elements that autograd keeps of it."""

    params: int
    macs: int
    activations: int


class Plan(NamedTuple):
    """A network with all its numbers; `size` is what images are brought to, (height, width)."""

    image_channels: int
    size: tuple[int, int]
    stem_channels: int
    stem_stride: int
    first: Layer
    stages: tuple[tuple[Layer, ...], ...]
    head_channels: int
    feature_channels: int
    classes: int

    def price(self) -> Price:
        """Return what the network costs.

        Multiply-adds are those of convolutions and linear layers, squeeze-and-excite's among them; resizing, batch
        norms, means and sums count nothing, as in torch's own counter.
        """
        last = self.stages[-1][-1]
        params, macs, activations = _ends(
            (self.image_channels, self.stem_channels, self.stem_stride, self.size),
            (last.outputs, self.head_channels, self.feature_channels, self.classes, last.output_size),
        )
        for stage in ((self.first,), *self.stages):
            for layer in stage:
                price = layer_price(layer)
                params += price.params
                macs += price.macs
                activations += price.activations
        return Price(params, macs, activations)


@lru_cache(maxsize=2**16)
def layer_price(layer: Layer) -> Price:
    """Return what a block costs; it keeps its input, and not its output, which is the next block's input."""
    inputs, hidden, outputs, squeezed = layer.inputs, layer.hidden, layer.outputs, layer.squeezed
    before, after = _pixels(layer.size), _pixels(layer.output_size)
    params = (layer.kernel**2 + 2) * hidden + (hidden + 2) * outputs
    macs = (layer.kernel**2 + outputs) * hidden * after
    of_an_activation = 2 if layer.hard_swish else 1  # ReLU keeps what it returns, hard swish what it is given as well
    activations = inputs * before + hidden * after * (1 + of_an_activation) + outputs * after
    if layer.expands:
        params += (inputs + 2) * hidden
        macs += inputs * hidden * before
        activations += hidden * before * (1 + of_an_activation)
    if squeezed:
        params += 2 * hidden * squeezed + hidden + squeezed
        macs += 2 * hidden * squeezed
        activations += hidden * after + 3 * hidden + squeezed
    return Price(params, macs, activations)


@lru_cache(maxsize=2**12)
def make_divisible(channels: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `channels`, at least one, and not below 0.9 times `channels`.

    The rule of the MobileNets (Sandler et al., CVPR 2018, in their released code).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def hidden_channels(inputs: int, expansion: float, divisor: int) -> int:
    """Return the channels inside a block, as Once-for-All rounds them."""
    return make_divisible(round(inputs * expansion), divisor)


@lru_cache(maxsize=2**12)
def strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return what (height, width) become in a padded convolution with this stride."""
    return -(-size[0] // stride), -(-size[1] // stride)


@lru_cache(maxsize=2**12)
def _ends(
    stem: tuple[int, int, int, tuple[int, int]], head: tuple[int, int, int, int, tuple[int, int]]
) -> tuple[int, int, int]:
    """Return the costs of all but the blocks; the head keeps its input, which is the last block's output."""
    image_channels, stem_channels, stem_stride, size = stem
    pixels = _pixels(strided(size, stem_stride))
    params = (9 * image_channels + 2) * stem_channels
    macs = 9 * image_channels * stem_channels * pixels
    activations = image_channels * _pixels(size) + 2 * stem_channels * pixels
    inputs, head_channels, features, classes, last_size = head
    params += (inputs + 2 + features) * head_channels + (features + 1) * classes
    macs += inputs * head_channels * _pixels(last_size) + (head_channels + classes) * features
    activations += (inputs + 2 * head_channels) * _pixels(last_size) + head_channels + 2 * features
    return params, macs, activations


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
