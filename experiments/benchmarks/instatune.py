"""A trained transformer as a supernet by slicing its weights, against a supernet that begins at random weights.

    python experiments/benchmarks/instatune.py [--images 1500] [--epochs 8] [--fine-tune 3] [--seed 0] [--folder DATA]

The largest network of a small `Transformer` space is trained on Fashion-MNIST and sliced into a supernet, with its
heads and channels in the order of their importance and as they are. Fixed subnets, from the smallest to the largest,
are scored on the validation split as they are cut, and after the supernet was fine-tuned by the sandwich rule. Beside
it a supernet is trained in the same way from random weights: for as many epochs, which take as long, and for as much
longer as the pretraining took. Seconds are the process's own on one thread. InstaTune: Sarah et al. 2023.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from evonas.seeds import derive_seed, generator
from evonas.space import Genome
from evonas.spaces.transformer import Transformer
from evonas.spaces.transformer_supernet import TransformerSupernet
from evonas.workers.datasets import fashion_mnist
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.sandwich import Sandwich
from evonas.workers.supernets.training import Training
from evonas.workers.training import score, seeded, train

CPU = torch.device("cpu")
SPACE = Transformer(
    patch=7, widths=(48,), head_width=12, depths=(1, 2, 3, 4), heads=(1, 2, 3, 4), expansions=(0.5, 1.0, 2.0, 4.0),
    input_shape=(1, 28, 28),
)  # fmt: skip
RECIPE = Recipe(
    epochs=1,
    batch_size=64,
    learning_rate=1e-3,
    optimizer="adamw",
    weight_decay=0.05,
    warmup_epochs=0.5,
    gradient_clip=1.0,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1500, help="training images")
    parser.add_argument("--epochs", type=int, default=8, help="of the largest network, before it is sliced")
    parser.add_argument("--fine-tune", type=int, default=3, help="epochs of the supernet made of it")
    parser.add_argument("--subnets", type=int, default=12, help="random subnets that are scored")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=None, help="of Fashion-MNIST, if it is not where Debian puts it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = fashion_mnist(folder=given.folder, train_size=given.images, valid_fraction=1 / 60)  # 1,000 images
    examples, valid = (Examples.of(data, split, CPU) for split in (data.train, data.valid))
    rng = generator(given.seed, "subnets")
    drawn = [SPACE.canonical(SPACE.sample(rng)) for _ in range(given.subnets)]
    scored = [SPACE.smallest(), *sorted(drawn, key=lambda genome: SPACE.costs(genome)["params"]), SPACE.largest()]
    errors: dict[str, tuple[float, list[float]]] = {}

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "largest.safetensors"
        pretraining = pretrained(file, examples, replace(RECIPE, epochs=given.epochs), given.seed)
        for ordered in (False, True):
            name = "sliced, by importance" if ordered else "sliced"
            supernet = TransformerSupernet(SPACE, pretrained=str(file), ordered=ordered)
            errors[name] = pretraining, valid_errors(supernet, scored, valid)
            seconds = fine_tuned(supernet, examples, given.fine_tune, given.seed)
            errors[f"{name}, fine-tuned"] = pretraining + seconds, valid_errors(supernet, scored, valid)
    longer = given.fine_tune + round(given.fine_tune * pretraining / seconds)
    for epochs in (given.fine_tune, longer):
        with seeded(derive_seed(given.seed, "random"), CPU):
            supernet = TransformerSupernet(SPACE)
        seconds = fine_tuned(supernet, examples, epochs, given.seed)
        errors[f"random, {epochs} epochs"] = seconds, valid_errors(supernet, scored, valid)
    report(scored, errors, pretraining)


def pretrained(file: Path, examples: Examples, recipe: Recipe, seed: int) -> float:
    """Train the largest network, write its weights, and return the seconds."""
    with seeded(seed, CPU), measured() as seconds:
        network = SPACE.build(SPACE.largest())
        train(network, examples, recipe, seed)
    save_file(network.state_dict(), file)
    return seconds[0]


def fine_tuned(supernet: TransformerSupernet, examples: Examples, epochs: int, seed: int) -> float:
    """Train a supernet in place by the sandwich rule, and return the seconds."""
    training = Training(supernet, Sandwich(SPACE, seed), examples, replace(RECIPE, epochs=epochs), seed)
    with measured() as seconds:
        for _ in range(epochs):
            training.epoch()
    return seconds[0]


def valid_errors(supernet: TransformerSupernet, genomes: list[Genome], valid: Examples) -> list[float]:
    """Return the validation errors of subnets; transformers have no statistics to recalibrate."""
    return [score(supernet.subnet(genome), valid, RECIPE).error for genome in genomes]


@contextmanager
def measured() -> Iterator[list[float]]:
    """Put the seconds of the process that its block takes into the list."""
    seconds: list[float] = []
    started = time.process_time()
    yield seconds
    seconds.append(time.process_time() - started)


def report(genomes: list[Genome], errors: dict[str, tuple[float, list[float]]], pretraining: float) -> None:
    params = [SPACE.costs(genome)["params"] for genome in genomes]
    print(f"validation errors of subnets in %, {params[0]:,.0f} to {params[-1]:,.0f} parameters")
    print(f"{'supernet':36} seconds smallest largest random: mean   best  worst")
    for name, (seconds, found) in errors.items():
        random = np.array(found[1:-1])
        print(
            f"{name:36} {seconds:7.0f} {100 * found[0]:8.1f} {100 * found[-1]:7.1f} "
            f"{100 * random.mean():12.1f} {100 * random.min():6.1f} {100 * random.max():6.1f}"
        )
    print(f"seconds of the sliced include {pretraining:.0f} of pretraining; {len(genomes) - 2} random subnets")


if __name__ == "__main__":
    main()
