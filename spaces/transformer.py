"""The transformer space: a small encoder of image patches with elastic depth, heads and widths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.sizes import ascending, image_shape, whole_number

if TYPE_CHECKING:
    from torch import nn


class Block(NamedTuple):
    """An encoder block: how many heads attend, and the channels between the two layers of its perceptron."""

    heads: int
    hidden: int


class Plan(NamedTuple):
    """A network with all its numbers: a token is a square of `patch` pixels, a head has `head_width` channels."""

    image_channels: int
    patch: int
    tokens: int
    width: int
    head_width: int
    blocks: tuple[Block, ...]
    classes: int


@dataclass(frozen=True, kw_only=True)
class Transformer(SearchSpace):
    """Vision transformers (Dosovitskiy et al., ICLR 2021) as AutoFormer makes them elastic (Chen et al., ICCV 2021).

    Patches of an image become tokens with learnt positions; blocks of self-attention and a perceptron, each after a
    layer norm and around a shortcut; the mean of the tokens, after a last norm, is classified. Genes choose the depth,
    each block's heads and the expansion inside its perceptron and, where there is more than one option, the width of
    tokens. What has one option is no gene; lists of options ascend.

    Deviations from AutoFormer: no relative positions and no class token; sizes are for images of 28 or 32 pixels.
    `input_shape` is (channels, height, width) in pixels, both multiples of `patch`. Raises ConfigError for what cannot
    be built.
    """

    patch: int = 4
    widths: tuple[int, ...] = (64,)
    head_width: int = 16
    depths: tuple[int, ...] = (2, 3, 4, 5, 6)
    heads: tuple[int, ...] = (1, 2, 3, 4)
    expansions: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    genes: tuple[Gene, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("patch", "head_width", "classes"):
            whole_number(name, getattr(self, name), 1)
        for name in ("widths", "depths", "heads", "expansions"):
            object.__setattr__(self, name, ascending(name, getattr(self, name), whole=name != "expansions"))
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))
        if any(side % self.patch for side in self.input_shape[1:]):
            raise ConfigError(
                f"'patch: {self.patch}' must divide the images, which have {self.input_shape[1]} x "
                f"{self.input_shape[2]} pixels: use 1 or another divisor of both"
            )
        object.__setattr__(self, "genes", tuple(gene for gene in self._decisions() if len(gene.options) > 1))
        if not self.genes:
            raise ConfigError("every list has one option, and there is nothing to search: give one of them more")

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.transformer_network import TransformerNetwork

        return TransformerNetwork(self.plan(self.validate(genome)))

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params`, and `macs` of one image: those of linear layers, patches and attention."""
        plan = self.plan(genome)
        width, tokens = plan.width, plan.tokens
        pixels = plan.image_channels * plan.patch**2
        params = (pixels + 1 + tokens) * width + 2 * width + (width + 1) * plan.classes
        macs = tokens * pixels * width + width * plan.classes
        for block in plan.blocks:
            attended, hidden = block.heads * plan.head_width, block.hidden
            params += 4 * width + 3 * (width + 1) * attended + (attended + 1) * width
            params += (width + 1) * hidden + (hidden + 1) * width
            macs += tokens * (4 * width * attended + 2 * width * hidden) + 2 * tokens**2 * attended
        return {"params": float(params), "macs": float(macs)}

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome of the same network that has the first options wherever others change nothing.

        Genes of blocks beyond the depth are dead, and expansions that round to the same channels are one.
        """
        chosen = dict(zip(self._names, self.validate(genome), strict=True))
        width, depth = self.widths[chosen.get("width", 0)], self.depths[chosen.get("depth", 0)]
        hidden = [_hidden(width, expansion) for expansion in self.expansions]
        for name, index in chosen.items():
            kind, _, block = name.partition("_")
            if block and int(block) > depth:
                chosen[name] = 0
            elif kind == "expansion":
                chosen[name] = hidden.index(hidden[index])
        return tuple(chosen.values())

    def smallest(self) -> Genome:
        """Return the genome of all first options: an exact minimum of params and of macs."""
        return (0,) * len(self.genes)

    def largest(self) -> Genome:
        """Return the genome of all last options: an exact maximum of params and of macs."""
        return tuple(len(gene.options) - 1 for gene in self.genes)

    def plan(self, genome: Genome) -> Plan:
        """Return the network of a genome by its numbers."""
        chosen = dict(zip(self._names, genome, strict=True))
        width = self.widths[chosen.get("width", 0)]
        blocks = tuple(
            Block(
                self.heads[chosen.get(f"heads_{number}", 0)],
                _hidden(width, self.expansions[chosen.get(f"expansion_{number}", 0)]),
            )
            for number in range(1, self.depths[chosen.get("depth", 0)] + 1)
        )
        channels, height, columns = self.input_shape
        tokens = (height // self.patch) * (columns // self.patch)
        return Plan(channels, self.patch, tokens, width, self.head_width, blocks, self.classes)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(gene.name for gene in self.genes)

    def _decisions(self) -> Iterator[Gene]:
        """Yield all that is decided, in order, what has one option among it."""
        yield Gene("width", self.widths)
        yield Gene("depth", self.depths)
        for number in range(1, self.depths[-1] + 1):
            yield Gene(f"heads_{number}", self.heads)
            yield Gene(f"expansion_{number}", self.expansions)


def _hidden(width: int, expansion: float) -> int:
    return max(1, round(width * expansion))
