"""Tables of measured networks that predictors are compared on: two published ones, and synthetic ones of 28 genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as parquet

from evonas.predictor import Encoding, Features
from evonas.seeds import generator
from evonas.space import Gene, Genome, Metrics, SearchSpace

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
"""Where the published tables are looked for by default."""

NOISE = 0.12
"""Deviation of the noise of a synthetic table, as a share of the deviation of its signal."""


@dataclass(frozen=True)
class Table:
    """Networks and one measured number of each."""

    name: str
    features: Features
    targets: np.ndarray


class Blocks(SearchSpace):
    """A mobile network of seven stages with four genes each; which ones, and whether some are dead, says the kind.

    `blocks` has expansion, kernel, layers and squeeze-and-excitation a stage (as MnasNet); `elastic` has depth, width,
    kernel and expansion a stage (as BigNAS); `gated` has four stages of a depth and three layers, whose kernel and
    expansion are dead beyond the depth (as Once-for-All).
    """

    channels = (16, 24, 40, 80, 96, 192, 320)
    strides = (1, 2, 2, 2, 1, 2, 1)
    kinds: ClassVar[dict[str, tuple[tuple[str, tuple[float, ...]], ...]]] = {
        "blocks": (("expansion", (1, 4, 6)), ("kernel", (3, 5)), ("depth", (1, 2, 3)), ("attention", (0, 1))),
        "elastic": (("expansion", (3, 4, 6)), ("kernel", (3, 5, 7)), ("depth", (2, 3, 4)), ("width", (0.65, 0.8, 1))),
    }

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "gated":
            self.genes = [
                gene
                for stage in range(4)
                for gene in (
                    Gene(f"depth_{stage}", (1, 2, 3)),
                    *(Gene(f"kernel_{stage}_{layer}", (3, 5, 7)) for layer in range(3)),
                    *(Gene(f"expansion_{stage}_{layer}", (3, 4, 6)) for layer in range(3)),
                )
            ]
        else:
            names = self.kinds[kind]
            self.genes = [Gene(f"{name}_{stage}", options) for stage in range(7) for name, options in names]

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("the networks of a synthetic table have no weights")

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome with dead genes at 0."""
        if self.kind != "gated":
            return genome
        canonical = list(genome)
        for start in range(0, 28, 7):
            for layer in range(genome[start] + 1, 3):
                canonical[start + 1 + layer] = canonical[start + 4 + layer] = 0
        return tuple(canonical)

    def layers(self, genome: Genome) -> list[list[dict[str, float]]]:
        """Return what each layer of each stage is made of."""
        value = {gene.name: float(gene.options[o]) for gene, o in zip(self.genes, genome, strict=True)}  # type: ignore[arg-type]
        if self.kind == "gated":
            return [
                [
                    {"kernel": value[f"kernel_{stage}_{layer}"], "expansion": value[f"expansion_{stage}_{layer}"]}
                    for layer in range(int(value[f"depth_{stage}"]))
                ]
                for stage in range(4)
            ]
        names = [name for name, _ in self.kinds[self.kind]]
        return [
            [{name: value[f"{name}_{stage}"] for name in names}] * int(value[f"depth_{stage}"]) for stage in range(7)
        ]

    def costs(self, genome: Genome) -> Metrics:
        """Return parameters and MACs of the inverted bottlenecks at 224 pixels; bias and batch norms are left out."""
        params = macs = 0.0
        side, source = 112, 16.0
        for stage, layers in enumerate(self.layers(genome)):
            side //= self.strides[stage]
            for layer in layers:
                target = round(self.channels[stage] * layer.get("width", 1.0))
                hidden = source * layer["expansion"]
                weights = hidden * (source + layer["kernel"] ** 2 + target)
                attention = layer.get("attention", 0.0) * hidden * hidden / 2
                params += weights + attention
                macs += weights * side * side + attention
                source = target
        return {"params": params, "macs": macs}


def published(folder: Path) -> list[Table]:
    """Return the error and two latencies of NAS-Bench-201's cells and the error of NAS-Bench-Macro's networks."""
    cells = parquet.read_table(folder / "nasbench201_12epochs.parquet").to_pydict()
    choices = np.array([cells[f"e{edge}"] for edge in range(6)]).T
    numbers = np.log1p(np.array([cells["params"]], dtype=float)).T
    cell = Features(choices, (5,) * 6, numbers, ("params",))
    macro = parquet.read_table(folder / "nasbench_macro.parquet").to_pydict()
    choices = np.array([[int(choice) for choice in name] for name in macro["arch"]])
    numbers = np.log1p(np.array([macro["params"], macro["macs"]], dtype=float)).T
    layer = Features(choices, (3,) * 8, numbers, ("params", "macs"))
    return [
        Table("nb201 error", cell, 100 - np.array(cells["cifar10_valid_accuracy"])),
        Table("nb201 raspi4 ms", cell, np.array(cells["latency_ms_raspi4"], dtype=float)),
        Table("nb201 titanx ms", cell, np.array(cells["latency_ms_titanx"], dtype=float)),
        Table("macro error", layer, 100 - np.array(macro["test_accuracy"])),
    ]


def synthetic(rows: int, seed: int = 0) -> list[Table]:
    """Return a table for each kind of space and form of the accuracy."""
    tables = []
    for kind in ("blocks", "elastic", "gated"):
        space, rng = Blocks(kind), generator(seed, "synthetic", kind)
        genomes = sorted({space.canonical(space.sample(rng)) for _ in range(rows)})
        features = Encoding(space)(genomes)
        for form in _FORMS:
            signal = _FORMS[form](space, genomes, features, rng)
            noise = NOISE * signal.std() * rng.normal(size=len(genomes))
            accuracy = 75.0 + 1.5 * (signal - signal.mean() + noise) / signal.std()
            tables.append(Table(f"{kind} {form}", features, accuracy))
    return tables


def _additive(space: Blocks, genomes: Sequence[Genome], features: Features, rng: np.random.Generator) -> np.ndarray:
    """Every gene adds a gain, mostly with diminishing steps; so do the costs."""
    total = np.zeros(len(genomes))
    for gene, size in enumerate(features.sizes):
        steps = np.concatenate(([0.0], rng.gamma(1.0, 1.0, size - 1) / np.arange(1, size) ** 0.7))
        total += rng.gamma(1.0) * np.cumsum(steps * rng.choice([1.0, -0.3], p=[0.85, 0.15]))[features.choices[:, gene]]
    return _scaled(total) + 0.6 * _capacity(features)


def _interacting(space: Blocks, genomes: Sequence[Genome], features: Features, rng: np.random.Generator) -> np.ndarray:
    """A third of the variance comes from pairs of genes, of which a few matter much, as any table of their options."""
    pairs, genes = np.zeros(len(genomes)), len(features.sizes)
    for _ in range(genes):
        first = int(rng.integers(genes))
        second = (first + int(rng.integers(1, 5))) % genes
        effects = rng.gamma(0.7) * rng.normal(size=(features.sizes[first], features.sizes[second]))
        pairs += effects[features.choices[:, first], features.choices[:, second]]
    return _scaled(_additive(space, genomes, features, rng)) + 0.7 * _scaled(pairs)


def _staged(space: Blocks, genomes: Sequence[Genome], features: Features, rng: np.random.Generator) -> np.ndarray:
    """A stage gains from what its layers are made of, with diminishing returns; stages multiply."""
    weights = rng.gamma(2.0, size=7)
    gains = rng.gamma(2.0, size=4)
    log_error = np.zeros(len(genomes))
    for row, genome in enumerate(genomes):
        for stage, layers in enumerate(space.layers(genome)):
            power = sum(
                1.0
                + gains[0] * np.log(layer["expansion"])
                + gains[1] * np.log(layer["kernel"] / 3)
                + gains[2] * layer.get("attention", 0.0)
                + 2 * gains[3] * np.log(layer.get("width", 1.0))
                for layer in layers
            )
            log_error[row] -= weights[stage] * np.log1p(max(power, 0.0))
    return -np.exp(0.15 * log_error / log_error.std())


def _bottleneck(space: Blocks, genomes: Sequence[Genome], features: Features, rng: np.random.Generator) -> np.ndarray:
    """Capacity saturates, and the weakest stages hold the network back."""
    weights = 0.5 + rng.random(7)
    power = np.array(
        [
            [
                weights[stage] * sum(layer["expansion"] * layer["kernel"] ** 0.5 for layer in layers)
                for stage, layers in enumerate(space.layers(genome))
            ]
            for genome in genomes
        ]
    )
    power = power / power.mean(axis=0)
    weakest = -np.log(np.mean(power**-2.0, axis=1))
    return (
        _scaled(weakest)
        + 0.7 * _capacity(features)
        + 0.3 * _scaled(features.one_hot() @ rng.normal(size=sum(features.sizes)))
    )


def _capacity(features: Features) -> np.ndarray:
    macs, params = (_scaled(features.numbers[:, features.names.index(name)]) for name in ("macs", "params"))
    return _scaled(1 - np.exp(-0.5 * macs)) + 0.4 * _scaled(1 - np.exp(-0.3 * params))


def _scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


_FORMS: dict[str, Callable[[Blocks, Sequence[Genome], Features, np.random.Generator], np.ndarray]] = {
    "additive": _additive,
    "interacting": _interacting,
    "staged": _staged,
    "bottleneck": _bottleneck,
}
