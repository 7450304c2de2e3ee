"""A supernet's weights as files: safetensors, written whole or not at all, in which nothing can be executed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.component import Component, checked
from evonas.errors import DataError, RunFolderError
from evonas.seeds import generator
from evonas.space import SearchSpace
from evonas.supernet_folder import CHECKPOINT, WEIGHTS, SupernetHeader

if TYPE_CHECKING:
    from torch import nn

KEY = "evonas"  # one: safetensors writes several in any order
_PROBES = 20  # networks that two spaces are compared by
PRETRAINED = "pretrained"
"""The option of a supernet that names a file which its training began with, and which need not be there any more."""
WEIGHT, METHOD = "weights/", "method/"
"""What the names of arrays begin with: parameters and buffers of the supernet, and what its method has learnt."""


@dataclass(frozen=True, slots=True)
class SupernetFile:
    """A trained supernet: what it is, and its arrays by name (`weights/NAME`, `method/NAME`)."""

    header: SupernetHeader
    arrays: Mapping[str, np.ndarray]


def load(path: Path) -> SupernetFile:
    """Read a trained supernet, by its folder or its file; raise DataError if there is none. Torch is not needed."""
    file = _found(path)
    arrays, facts = read(file)
    header = facts.get("header")
    if not (
        isinstance(header, dict) and {"space", "data", "supernet", "method", "seed"} <= {*header.get("config", ())}
    ):
        raise DataError(f"{file} is no supernet of evonas: it does not say of what space it is, and how it was trained")
    return SupernetFile(SupernetHeader.of(header), arrays)


def fingerprint(path: Path) -> str:
    """Return a hash of a trained supernet's file; raise DataError if there is none."""
    with _found(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def check_space(file: SupernetFile, space: SearchSpace) -> None:
    """Raise DataError if the supernet was trained on a space of other genes, or other networks. Torch is not needed."""
    trained_on: SearchSpace = checked(Component.of(file.header.config["space"]), SearchSpace).build()
    difference = _difference(trained_on, space)
    if difference is not None:
        raise DataError(
            f"the supernet '{file.header.name}' was trained on another space, {file.header.config['space']}: that one "
            f"has {difference}: search that one, or train a supernet of this one"
        )


def restored(file: SupernetFile, space: SearchSpace, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """Return the supernet of the file's header on `arrays`, which are not copied: nothing may write to its parameters.

    Buffers are copies. Raises DataError if the arrays are not those of such a supernet of this space.
    """
    from torch import nn

    from evonas.workers.supernets.method import Method

    config, supplies = file.header.config, {"space": space, "seed": file.header.config["seed"]}
    given_then = {name: option for name, option in config["supernet"].items() if name != PRETRAINED}
    supernet: nn.Module = checked(Component.of(given_then), nn.Module).build(supplies)
    method: Method = checked(Component.of(config["method"]), Method).build(supplies)
    supernet = method.restore(supernet, part(arrays, METHOD))
    own, given = supernet.state_dict(keep_vars=True), part(arrays, WEIGHT)
    if own.keys() != given.keys() or any(tuple(own[name].shape) != given[name].shape for name in own):
        odd = sorted(own.keys() ^ given.keys()) or [n for n in own if tuple(own[n].shape) != given[n].shape]
        raise DataError(
            f"the supernet '{file.header.name}' is of another space: '{odd[0]}' differs (of {len(odd)} weights): "
            f"search the space that it was trained on, {config['space']}, or train one of this space"
        )
    for name, value in own.items():
        if isinstance(value, nn.Parameter):
            value.data = _shared(given[name])
        else:
            value.copy_(_shared(given[name]))
    return supernet


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays and facts of a file; raise DataError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            facts = json.loads((opened.metadata() or {}).get(KEY, "{}"))
            return {name: opened.get_tensor(name) for name in opened.keys()}, facts  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}): it is damaged, or no safetensors file") from error


def write(file: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts, JSON-plain values: what was there before is there until all of it is on the disk.

    Raises RunFolderError if that fails.
    """
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as opened:
            opened.write(save(plain, metadata={KEY: json.dumps(facts)}))
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        raise RunFolderError(
            f"{file} cannot be written ({error.strerror}): what was there before is valid still; make room, and resume"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left; raise RunFolderError if that fails. No one else may write."""
    try:
        for name in (CHECKPOINT, WEIGHTS):
            for draft in folder.glob(f".{name}.*"):
                draft.unlink()
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written ({error.strerror}): what is in it is valid still") from error


def _found(path: Path) -> Path:
    """Return the file of a trained supernet, by its folder or itself; raise DataError if there is none."""
    file = path / WEIGHTS if path.is_dir() else path
    if not file.exists():
        way_out = (
            f"continue its training with 'evonas supernet FILE --run {path} --resume'"
            if path.is_dir()
            else ("name the folder that 'evonas supernet FILE' writes, or the .safetensors file in it")
        )
        raise DataError(f"there is no trained supernet at {file}: {way_out}")
    return file


def _difference(trained_on: SearchSpace, space: SearchSpace) -> str | None:
    """Return a gene, or what a network costs, that the one space has and the other has not; None if they agree."""
    for gene, own in zip_longest(trained_on.genes, space.genes):
        if gene != own:
            return f"the gene {gene}, and this one has {own}"
    rng = generator(0, "probes")
    for genome in [trained_on.smallest(), trained_on.largest(), *(trained_on.sample(rng) for _ in range(_PROBES))]:
        costs, own_costs = trained_on.costs(genome), space.costs(genome)
        for name in ("params", "macs"):
            if costs[name] != own_costs[name]:
                numbers = f"{costs[name]:,.0f} for the genome {list(genome)}, and this one has {own_costs[name]:,.0f}"
                return f"{name} = {numbers}"
    return None


def _shared(array: np.ndarray) -> Any:
    """Return a tensor on an array's memory, which may be read-only."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
