"""The mobile space: MobileNetV3 with elastic depth, kernels, expansions, width, resolution and squeeze-and-excite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Literal

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.mobile_costs import Block, Plan, first_block, hidden_channels, make_divisible, stage_block, strided
from evonas.spaces.mobile_genes import Layout
from evonas.spaces.mobile_skeletons import SKELETONS
from evonas.spaces.sizes import ascending, image_shape, whole_number

if TYPE_CHECKING:
    from torch import Tensor, nn

_FRACTIONS = ("expansions", "widths")


@dataclass(frozen=True, kw_only=True)
class Mobile(SearchSpace):
    """MobileNetV3 (Howard et al., ICCV 2019), elastic as in Once-for-All (Cai et al., ICLR 2020), and further.

    A stem, a first block that is the same for all, stages of inverted residual blocks, a head. Genes choose the depth
    of each stage and the kernel and expansion of each block; the multiplier of all channels (`elastic_width: stage`: of
    each stage's; the stem follows the first stage, the head the last); the resolution that the network brings images
    to, in pixels of the shorter side; and squeeze-and-excite (`squeeze`: none to choose, it is where MobileNetV3 has
    it, or a gene for each stage or block). What has one option is no gene. ReLU and hard swish are where MobileNetV3
    has them; blocks add their input, all but the first of a stage.

    A skeleton has lists of options, for which others may be given, in ascending order: `imagenet` is that of
    Once-for-All (depths 2 to 4, kernels 3, 5, 7, expansions 3, 4, 6, 25 resolutions from 128 to 224, the two published
    widths 1 and 1.2); `small` has the same blocks for images of 28 or 32 pixels, which are halved three times instead
    of five; `tiny` has three narrow stages, for a CPU. No resolutions mean the data's own.

    Deviations from the code of Once-for-All: width and resolution are genes, there is no dropout, and images of odd
    size work too. `input_shape` is (channels, height, width) in pixels. Raises ConfigError for what cannot be built.
    """

    skeleton: Literal["imagenet", "small", "tiny"] = "small"
    depths: tuple[int, ...] = ()
    kernels: tuple[int, ...] = ()
    expansions: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    elastic_width: Literal["network", "stage"] = "network"
    resolutions: tuple[int, ...] = ()
    squeeze: Literal["fixed", "stage", "block"] = "fixed"
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    genes: tuple[Gene, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = {
            "skeleton": tuple(SKELETONS),
            "elastic_width": ("network", "stage"),
            "squeeze": ("fixed", "stage", "block"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(f"'{name}' must be {' or '.join(values)}, not {getattr(self, name)!r}")
        whole_number("classes", self.classes, 1)
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))
        side = min(self.input_shape[1:])
        for name in ("depths", "kernels", "expansions", "widths", "resolutions"):
            own = getattr(SKELETONS[self.skeleton], name) or (side,)
            object.__setattr__(self, name, ascending(name, getattr(self, name) or own, whole=name not in _FRACTIONS))
        if not all(kernel % 2 for kernel in self.kernels):
            raise ConfigError(f"'kernels' must be odd, to have a centre, not {list(self.kernels)}")
        object.__setattr__(self, "genes", tuple(gene for gene in self._decisions() if len(gene.options) > 1))
        if not self.genes:
            raise ConfigError("every list has one option, and there is nothing to search: give one of them more")

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.mobile_network import MobileNetwork

        return MobileNetwork(self.plan(self.validate(genome)))

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params`, and `macs` of one image at the genome's resolution, see `Plan.price`."""
        params, macs, _ = self.plan(genome).price()
        return {"params": float(params), "macs": float(macs)}

    def activations(self, genome: Genome) -> int:
        """Return the exact number of elements that autograd keeps of one image, see SearchSpace.

        Convolutions, linear layers, batch norms, hard swish and hard sigmoid keep what they are given, ReLU what it
        returns, and the product of squeeze-and-excite both factors; sums, means and resizing keep nothing.
        """
        return self.plan(self.validate(genome)).price().activations

    def morph(
        self, parent: Genome, child: Genome, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the state that a child starts from, see SearchSpace and `mobile_morphism`."""
        from evonas.spaces.mobile_morphism import morphed

        return morphed(weights, fresh)

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome of the same network that has the first options wherever others change nothing.

        Genes of blocks beyond the depth are dead; and because channels are rounded to multiples, two widths can be one,
        and two expansions. On images of a pixel a side large kernels see no more than small ones; they are kept apart.
        """
        chosen = [*self.validate(genome), 0]
        inputs = 0
        for number, genes in enumerate(self._layout.stages):
            width = chosen[genes.width] = self._first_widths[number][chosen[genes.width]]
            inputs = inputs or self._stems[width]
            depth = self.depths[chosen[genes.depth]]
            for block in genes.blocks[:depth]:
                chosen[block.expansion] = self._first_expansions(inputs)[chosen[block.expansion]]
                inputs = self._channels[number][width]
            for block in genes.blocks[depth:]:
                chosen[block.kernel] = chosen[block.expansion] = 0
                if self.squeeze == "block":
                    chosen[block.squeeze] = 0
        return tuple(chosen[:-1])

    def smallest(self) -> Genome:
        """Return the genome of all first options: an exact minimum of params and of macs."""
        return (0,) * len(self.genes)

    def largest(self) -> Genome:
        """Return the genome of all last options: an exact maximum of params and of macs."""
        return tuple(len(gene.options) - 1 for gene in self.genes)

    @property
    def distinct_networks(self) -> int:
        """How many networks differ: the number of canonical genomes. (`size` counts genomes.)

        With the options of Once-for-All a stage has 9^2 + 9^3 + 9^4 = 7,371; stages and resolutions multiply, widths of
        the network add up, and widths of stages are counted in all their combinations.
        """
        of_a_stage, of_a_block = {"fixed": (1, 1), "stage": (2, 1), "block": (1, 2)}[self.squeeze]

        def networks(inputs: int, outputs: int) -> int:
            first, later = (
                of_a_block * len(self.kernels) * len(set(self._first_expansions(channels)))
                for channels in (inputs, outputs)
            )
            blocks: int = sum(first * later ** (depth - 1) for depth in self.depths)
            return of_a_stage * blocks

        ways: dict[int, int] = {}  # networks up to a stage, by its width
        for number, outputs in enumerate(self._channels):
            before = ways
            ways = {
                width: sum(
                    count * networks(self._channels[number - 1][other], outputs[width])
                    for other, count in before.items()
                    if other == width or self.elastic_width == "stage"
                )
                if number
                else networks(self._stems[width], outputs[width])
                for width in set(self._first_widths[number])
            }
        return len(self.resolutions) * sum(ways.values())

    def plan(self, genome: Genome) -> Plan:
        """Return the network of a genome by its numbers."""
        chosen = (*genome, 0)
        skeleton = SKELETONS[self.skeleton]
        image_size = self._image_sizes[chosen[self._layout.resolution]]
        size = strided(image_size, skeleton.stem_stride)
        inputs = stem = self._stems[chosen[self._layout.stages[0].width]]
        stages = []
        for stage, genes, channels in zip(skeleton.stages, self._layout.stages, self._channels, strict=True):
            width, blocks = chosen[genes.width], list[Block]()
            for kernel, expansion, squeeze in genes.blocks[: self.depths[chosen[genes.depth]]]:
                block = stage_block(
                    stage,
                    len(blocks),
                    inputs,
                    channels[width],
                    self.kernels[chosen[kernel]],
                    self.expansions[chosen[expansion]],
                    stage.squeezed if self.squeeze == "fixed" else bool(chosen[squeeze]),
                    size,
                    skeleton.divisor,
                )
                blocks.append(block)
                inputs, size = block.outputs, block.output_size
            stages.append(tuple(blocks))
        head, features = self._heads[width]
        return Plan(
            image_channels=self.input_shape[0],
            size=image_size,
            stem_channels=stem,
            stem_stride=skeleton.stem_stride,
            first=first_block(stem, strided(image_size, skeleton.stem_stride)),
            stages=tuple(stages),
            head_channels=head,
            feature_channels=features,
            classes=self.classes,
        )

    def _decisions(self) -> Iterator[Gene]:
        """Yield all that is decided, in order, what has one option among it."""
        if self.elastic_width == "network":
            yield Gene("width", self.widths)
        yield Gene("resolution", self.resolutions)
        for stage in range(1, len(SKELETONS[self.skeleton].stages) + 1):
            if self.elastic_width == "stage":
                yield Gene(f"width_{stage}", self.widths)
            yield Gene(f"depth_{stage}", self.depths)
            if self.squeeze == "stage":
                yield Gene(f"squeeze_{stage}", (False, True))
            for block in range(1, self.depths[-1] + 1):
                yield Gene(f"kernel_{stage}_{block}", self.kernels)
                yield Gene(f"expansion_{stage}_{block}", self.expansions)
                if self.squeeze == "block":
                    yield Gene(f"squeeze_{stage}_{block}", (False, True))

    @cached_property
    def _layout(self) -> Layout:
        return Layout.of(self.genes, stages=len(SKELETONS[self.skeleton].stages), blocks=self.depths[-1])

    def _widened(self, channels: int) -> tuple[int, ...]:
        """Return what channels are at every width."""
        return tuple(make_divisible(channels * width, SKELETONS[self.skeleton].divisor) for width in self.widths)

    @cached_property
    def _stems(self) -> tuple[int, ...]:
        return self._widened(SKELETONS[self.skeleton].stem_channels)

    @cached_property
    def _channels(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self._widened(stage.channels) for stage in SKELETONS[self.skeleton].stages)

    @cached_property
    def _heads(self) -> tuple[tuple[int, int], ...]:
        skeleton = SKELETONS[self.skeleton]
        widened = self._widened(skeleton.head_channels), self._widened(skeleton.feature_channels)
        return tuple(zip(*widened, strict=True))

    @cached_property
    def _image_sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) at every resolution; the longer side follows the shorter one."""
        height, width = self.input_shape[1:]
        side = min(height, width)
        return tuple((round(height * r / side), round(width * r / side)) for r in self.resolutions)

    @cached_property
    def _first_widths(self) -> tuple[tuple[int, ...], ...]:
        """For each stage and width the first width that gives the same channels to all that follows its gene."""
        columns = [[stage] for stage in self._channels]
        columns[0].append(self._stems)
        columns[-1].extend(zip(*self._heads, strict=True))
        if self.elastic_width == "network":
            columns = [list(chain.from_iterable(columns))] * len(columns)
        return tuple(_first_alike(zip(*column, strict=True)) for column in columns)

    def _first_expansions(self, inputs: int) -> tuple[int, ...]:
        """For each expansion the first one that gives the same hidden channels to a block of so many inputs."""
        divisor = SKELETONS[self.skeleton].divisor
        return _first_alike(hidden_channels(inputs, expansion, divisor) for expansion in self.expansions)


def _first_alike(values: Iterable[object]) -> tuple[int, ...]:
    listed = list(values)
    return tuple(map(listed.index, listed))
