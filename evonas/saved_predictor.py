"""A fitted predictor as a file: arrays and JSON in safetensors, in which nothing can be executed."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evonas.component import Component, checked
from evonas.config import checked_options
from evonas.errors import DataError, EvonasError, GenomeError, nearest
from evonas.evaluation import Metric
from evonas.predictor import Encoding, Predictor
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.table import is_number

FORMAT = 2
KEY = "evonas.predictor"  # one: safetensors writes several in any order
SUFFIX = ".safetensors"
PROBES = 16
"""Networks whose static costs and features are kept, to tell the space from another that has the same genes."""


@dataclass(frozen=True)
class SavedPredictor:
    """What a predictor has learnt (`state`), of what, and how it came to be (`fitted`, JSON-plain values, for people).

    `costs`, `features` and `measured` are those of its encoding. `genes` (name and options as text) and `probes`
    (genomes, their static costs and features) say which space it belongs to; `space`, which is never built, tells
    people the same.
    """

    predictor: Component
    seed: int
    target: Metric
    costs: tuple[str, ...]
    features: tuple[str, ...]
    measured: tuple[str, ...]
    space: Component
    genes: Sequence[tuple[str, Sequence[str]]]
    probes: Sequence[tuple[Genome, Mapping[str, float]]]
    fitted: Mapping[str, Any]
    state: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls,
        fitted: Predictor,
        predictor: Component,
        target: Metric,
        encoding: Encoding,
        space: Component,
        story: Mapping[str, Any],
    ) -> SavedPredictor:
        """Return what is kept of a predictor that was built from `predictor` and `fitted` to features of `encoding`."""
        rng = generator(0, "probes")
        genomes = dict.fromkeys(encoding.space.canonical(encoding.space.sample(rng)) for _ in range(PROBES))
        return cls(
            predictor, fitted.seed, target, encoding.costs, encoding.features, encoding.measured, space,
            _genes(encoding.space),
            [(genome, _told(encoding.space, genome)) for genome in genomes], story, fitted.state(),
        )  # fmt: skip

    def restored(self, space: SearchSpace) -> tuple[Encoding, Predictor]:
        """Return the encoding and the predictor, ready to predict networks of the space that it was fitted on.

        Raises DataError if `space` is another one, or if the predictor does not take its state back.
        """
        self.check(space)
        predictor: Predictor = checked(self.predictor, Predictor).build({"seed": self.seed})
        try:
            predictor.restore(self.state)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self.predictor.use} cannot take back what it had learnt ({type(error).__name__}: {error}): fit it "
                f"again with this version, {self.again}"
            ) from error
        return Encoding(space, costs=self.costs, measured=self.measured), predictor

    @property
    def again(self) -> str:
        """The way out for whoever cannot use the file."""
        return (
            f"with 'evonas predict {self.fitted.get('source', 'RUN')} --target {self.target.name} --save FILE{SUFFIX}'"
        )

    def check(self, space: SearchSpace) -> None:
        """Raise DataError if `space` is not the one that the predictor was fitted on."""
        genes = _genes(space)
        if len(genes) != len(self.genes):
            different = ", ".join(sorted(dict(self.genes).keys() ^ dict(genes).keys()))
            raise self._of_another_space(
                f"{len(self.genes)} genes, and this one has {len(genes)} (not in both: {different})"
            )
        for (own_name, own_options), (name, options) in zip(self.genes, genes, strict=True):
            if (own_name, *own_options) != (name, *options):
                own, other = ", ".join(own_options), ", ".join(options)
                raise self._of_another_space(f"a gene '{own_name}' ({own}), and this one has '{name}' ({other})")
        if (features := Encoding(space).features) != self.features:
            own, other = (", ".join(names) or "none" for names in (self.features, features))
            raise self._of_another_space(f"the features {own}, and this one has {other}")
        for genome, told in self.probes:
            try:
                known = _told(space, space.validate(genome))
            except GenomeError:  # a table of other networks of the same space
                continue
            for name, number in told.items():
                if not math.isclose(known.get(name, math.nan), number, rel_tol=1e-9):
                    raise self._of_another_space(
                        f"{name} = {number:g} for the genome {list(genome)}, and this one has {known.get(name)}"
                    )

    def _of_another_space(self, difference: str) -> DataError:
        return DataError(
            f"the predictor of {self.target.name} was fitted on another space, {self.space.plain()}: that one has "
            f"{difference}: search that one, with its recipe if it has one, or fit a predictor to networks of this one"
        )


def _told(space: SearchSpace, genome: Genome) -> dict[str, float]:
    """Return what the space tells predictors of a genome besides its genes."""
    return {**space.costs(genome), **space.features(genome)}


def check_name(path: Path) -> None:
    """Raise DataError if a predictor cannot be saved under this name."""
    if path.suffix != SUFFIX:
        raise DataError(f"a predictor is saved as FILE{SUFFIX}, not as {path}")


def save(saved: SavedPredictor, path: Path) -> None:
    """Write a predictor to `path`, whole or not at all; raise DataError if it cannot be written."""
    from safetensors.numpy import save as encode

    check_name(path)
    state = {name: np.array(array, order="C") for name, array in saved.state.items()}
    if odd := [name for name, array in state.items() if array.dtype.kind not in "biuf"]:
        raise DataError(f"{saved.predictor.use}: state() must return arrays of numbers, and {', '.join(odd)} are not")
    record = json.loads(json.dumps(_plain(saved), allow_nan=False))
    text = json.dumps({"sha256": _checksum(record, state), "predictor": record})
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(encode(state, {KEY: text}))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}: name another file with --save") from error


def load(path: Path) -> SavedPredictor:
    """Read a predictor; raise DataError for a file that is missing, damaged or something else."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        here = [other.name for other in path.parent.glob(f"*{SUFFIX}")]
        raise DataError(f"there is no predictor {path}{nearest(path.name, here)}: make one with 'evonas predict'")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise DataError(f"{path} holds arrays, but no predictor of evonas: make one with 'evonas predict'")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged, or no safetensors file: {error}: fit the predictor again") from error
    return _decoded(path, metadata[KEY], state)


def fingerprint(path: Path) -> str:
    """Return a hash of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _plain(saved: SavedPredictor) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "predictor": saved.predictor.plain(),
        "seed": saved.seed,
        "target": asdict(saved.target),
        "costs": saved.costs,
        "features": saved.features,
        "measured": saved.measured,
        "space": saved.space.plain(),
        "genes": saved.genes,
        "probes": saved.probes,
        "fitted": saved.fitted,
    }


def _decoded(path: Path, text: str, state: Mapping[str, np.ndarray]) -> SavedPredictor:
    try:
        document = json.loads(text)
        record = document["predictor"]
        if document["sha256"] != _checksum(record, state):
            raise DataError(f"{path} is damaged, its checksum differs: fit the predictor again, or take a copy")
        if record["format"] != FORMAT:
            raise DataError(
                f"{path} has format {record['format']}, and this version of evonas reads {FORMAT}: fit it again"
            )
        return SavedPredictor(
            predictor=checked_options(Component.of(record["predictor"]), str(path)),
            seed=int(record["seed"]),
            target=Metric(**record["target"]),
            costs=tuple(record["costs"]),
            features=tuple(record["features"]),
            measured=tuple(record["measured"]),
            space=Component.of(record["space"]),
            genes=[(name, tuple(options)) for name, options in record["genes"]],
            probes=[(tuple(genome), costs) for genome, costs in record["probes"]],
            fitted=record["fitted"],
            state=state,
        )
    except EvonasError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): fit the predictor again") from error


def _genes(space: SearchSpace) -> list[tuple[str, tuple[str, ...]]]:
    return [(gene.name, tuple(map(_text, gene.options))) for gene in space.genes]


def _text(option: object) -> str:
    """Return an option as text, '3' in quotes: a predictor sees a number in 3, and a name in that."""
    return repr(option) if isinstance(option, str) and is_number(option) else str(option)


def _checksum(record: object, state: Mapping[str, np.ndarray]) -> str:
    sha = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name, array in sorted(state.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
