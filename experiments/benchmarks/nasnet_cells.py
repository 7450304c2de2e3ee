"""The NASNet cell space held against the literature and against torch, and what its costs take.

python experiments/benchmarks/nasnet_cells.py [--genomes 500] [--samples 40000]
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from math import sqrt

import numpy as np
import torch
from torch import nn
from torch_counts import counted, rate

from evonas.space import Genome
from evonas.spaces.nasnet_cell import NASNetCell
from evonas.spaces.nasnet_cell_costs import Skeleton
from evonas.spaces.nasnet_cell_published import PUBLISHED

BOUNDS = (3e6, 4e6, 5e6)
ACCEPTED = {("all", 4): (0.048, 0.31, 0.45), ("loose_ends", 5): (0.027, 0.20, 0.36)}
"""Shares of uniform genomes with fewer parameters than the bounds, of 4,000 samples, as reported for EE-PI."""

NORMS = {
    **dict.fromkeys(("max_pool_3x3", "avg_pool_3x3", "skip_connect"), 0),
    **dict.fromkeys(("dil_conv_3x3", "dil_conv_5x5", "conv_7x1_1x7"), 1),
    **dict.fromkeys(("sep_conv_3x3", "sep_conv_5x5"), 2),
    **dict.fromkeys(("inv_res_3x3", "inv_res_5x5"), 3),
}
"""Batch norms of an operation with stride 1."""

CONFIGURATIONS = (
    NASNetCell(layers=6, final_layers=9),
    NASNetCell(blocks=4, concatenate="all", auxiliary=True, final_layers=5),
    NASNetCell(operations="nsga", layers=5, increment=3, final_channels=34, final_layers=6, final_increment=4),
    NASNetCell(blocks=2, channels=5, layers=4, final_layers=8, input_shape=(1, 28, 28), classes=7, auxiliary=True),
    NASNetCell(operations="nsga", blocks=3, concatenate="all", channels=3, layers=3, input_shape=(2, 13, 9)),
)


def with_statistics(network: nn.Module) -> int:
    """Count the trainable parameters and what batch norms remember, two more numbers a channel."""
    remembered = [m.running_mean for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    return sum(p.numel() for p in network.parameters()) + sum(2 * m.numel() for m in remembered if m is not None)


def published() -> Iterator[str]:
    yield f"{'parameters, in millions':24} published  10 classes          100 classes        and batch-norm statistics"
    for name, cells in PUBLISHED.items():
        space, genome = cells.space(), cells.genome()
        assert space.costs(genome) == space.costs(space.canonical(genome))
        more = dataclasses.replace(space, classes=100)
        with torch.device("meta"):
            stored = with_statistics(more.build_final(genome))
        counts = (space.costs(genome)["final_params"], more.costs(genome)["final_params"], stored)
        told = (f"{count / 1e6:10.3f} ({count / 1e6 / cells.millions - 1:+.1%})" for count in counts)
        yield f"{name:24} {cells.millions:9.2f} {' '.join(told)}"


def samples(space: NASNetCell, count: int, inputs_to: int, rng: np.random.Generator) -> Iterator[Genome]:
    """Draw genomes, uniform but for their inputs: those of block b are 0 to b + `inputs_to`."""
    most = np.array([len(gene.options) - (number % 2) * (1 - inputs_to) for number, gene in enumerate(space.genes)])
    for row in rng.integers(most, size=(count, len(most))):
        yield tuple(row.tolist())


def acceptance(count: int) -> Iterator[str]:
    yield f"\nshare of {count:,} uniform genomes below 3, 4, 5 million parameters (in standard errors of the figure)"
    for (concatenate, blocks), reported in ACCEPTED.items():
        yield f"{f'{concatenate}, {blocks} blocks: reported':54} {shares(reported)}"
        for inputs_to, classes, statistics in itertools.product((1, 0), (10, 100), (False, True)):
            space = NASNetCell(concatenate=concatenate, blocks=blocks, classes=classes)  # type: ignore[arg-type]
            rng = np.random.default_rng(0)
            params = np.array([numbers_of(space, g, statistics) for g in samples(space, count, inputs_to, rng)])
            here = [float(np.mean(params < bound)) for bound in BOUNDS]
            off = [(a - b) / sqrt(b * (1 - b) * (1 / 4000 + 1 / count)) for a, b in zip(here, reported, strict=True)]
            remembered = ", batch-norm statistics" if statistics else ""
            kind = f"inputs 0 to b{'+1' if inputs_to else ''}, {classes} classes{remembered}"
            yield f"  {kind:52} {shares(here)}   ({', '.join(f'{z:+.1f}' for z in off)})"


def numbers_of(space: NASNetCell, genome: Genome, statistics: bool) -> float:
    """Count parameters of the final network and, if asked, statistics as `with_statistics`, without building it."""
    params = space.costs(genome)["final_params"]
    if not statistics:
        return params
    final = Skeleton(space.final_channels, space.final_layers, space.final_increment, (3, 32, 32), 10, auxiliary=False)
    cells = dict(zip((False, True), space.cells(genome), strict=True))
    norms = {
        reduction: 2
        + sum(NORMS[name] + (name == "skip_connect" and reduction and source < 2) for name, source in pairs)
        for reduction, (pairs, _) in cells.items()
    }
    return params + 2 * (final.stem_channels + sum(layer.channels * norms[layer.reduction] for layer in final.plan()))


def shares(values: Iterable[float]) -> str:
    return ", ".join(f"{value:6.1%}" for value in values)


def exactness(genomes: int) -> Iterator[str]:
    rng = np.random.default_rng(0)
    each = -(-genomes // len(CONFIGURATIONS))
    equal = total = 0
    for space in CONFIGURATIONS:
        for genome in [space.sample(rng) for _ in range(each)]:
            built = (counted(build, genome, space.input_shape) for build in (space.build, space.build_final))
            equal += [*space.costs(genome).values()] == [count for metrics in built for count in metrics.values()]
            total += 1
    yield f"\ncosts equal to torch's counts, search and final network: {equal}/{total} genomes"


def rates() -> Iterator[str]:
    space, rng = NASNetCell(), np.random.default_rng(0)
    genomes = [space.sample(rng) for _ in range(20_000)]
    space.costs(genomes[0])  # fills its tables
    both = (space.build, space.build_final)
    slow = rate(lambda genome: [counted(build, genome, space.input_shape) for build in both], genomes[:8])
    yield f"\n{'both networks':22} genomes/s   times"
    yield f"{'built and counted':22} {slow:9,.1f} {1.0:7,.0f}"
    for name, count in (("costs", space.costs), ("canonical", space.canonical)):
        fast = rate(count, genomes)
        yield f"{name:22} {fast:9,.0f} {fast / slow:7,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=500, help="how many are built and counted")
    parser.add_argument("--samples", type=int, default=40_000, help="how many are drawn for acceptance rates")
    options = parser.parse_args()
    for part in (published(), acceptance(options.samples), exactness(options.genomes), rates()):
        for line in part:
            print(line, flush=True)


if __name__ == "__main__":
    main()
