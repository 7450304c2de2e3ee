"""The mobile space held against torch's counts, how many networks it has, and what its costs take.

python experiments/benchmarks/mobile_networks.py [--genomes 500] [--samples 40000]
"""

from __future__ import annotations

import argparse

import numpy as np
from torch_counts import counted, rate

from evonas.spaces.mobile import Mobile

IMAGENET = Mobile(skeleton="imagenet", input_shape=(3, 224, 224), classes=1000)
SPACES = (
    IMAGENET,
    Mobile(),
    Mobile(input_shape=(1, 28, 28), widths=(0.4, 0.65, 1.1), elastic_width="stage", squeeze="stage"),
    Mobile(skeleton="tiny", input_shape=(1, 28, 28)),
    Mobile(skeleton="tiny", input_shape=(2, 15, 13), resolutions=(9, 13, 17), squeeze="block", classes=3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=500, help="networks that are built and counted")
    parser.add_argument("--samples", type=int, default=40_000, help="genomes for the rates")
    given = parser.parse_args()
    rng = np.random.default_rng(0)

    for space in SPACES:
        smallest, largest = (space.costs(genome) for genome in (space.smallest(), space.largest()))
        spans = ", ".join(f"{smallest[name]:,.0f} to {largest[name]:,.0f} {name}" for name in smallest)
        print(f"{space.skeleton:9} {space.distinct_networks:,} networks, {spans}")

    equal = 0
    for number in range(given.genomes):
        space = SPACES[number % len(SPACES)]
        genome = space.sample(rng)
        equal += space.costs(genome) == counted(space.build, genome, space.input_shape)
    print(f"params and macs equal torch's counts for {equal} of {given.genomes} genomes")

    genomes = [IMAGENET.sample(rng) for _ in range(given.samples)]
    slow = rate(lambda genome: counted(IMAGENET.build, genome, IMAGENET.input_shape), genomes[:10])
    print(f"built and counted {slow:10,.1f} genomes a second")
    for name, count in (("costs", IMAGENET.costs), ("canonical", IMAGENET.canonical)):
        print(f"{name:17} {rate(count, genomes):10,.0f} genomes a second")


if __name__ == "__main__":
    main()
