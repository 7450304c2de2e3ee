"""The files of NAS-Bench-201 as torch wrote them: `NAS-Bench-201-v1_1-096897.pth` and `...-v1_0-e61699.pth`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from evonas import restricted_pickle
from evonas.convert import nats_trials
from evonas.convert.base import Converted, Tell, watched
from evonas.convert.nats_trials import Results
from evonas.errors import ConfigError, DataError

LENGTHS = {12: "less", 200: "full"}
"""The names of the results by epochs of training."""

_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file of torch before 1.6, which later ones still read
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_LEFT_OUT: restricted_pickle.StandIns = {
    **{
        ("torch._utils", name): lambda *_: None
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    },
    **{("torch", f"{name}Storage"): lambda *_: None for name in _STORAGES},
}
"""Weights are not read: a tensor is None."""


def convert(source: Path, epochs: int, tell: Tell) -> Converted:
    """Return the table of all architectures after 12 or 200 epochs of training.

    The file (Dong & Yang, ICLR 2020) is a dictionary, where `arch2infos` has, by the architecture's number, the results
    `less` (12 epochs) and `full` (200). It is read without torch, from both of torch's file formats. Raises ConfigError
    for other epochs, and DataError for what is not of this format.
    """
    if epochs not in LENGTHS:
        raise ConfigError(f"NAS-Bench-201 trained for {' or '.join(map(str, LENGTHS))} epochs, not {epochs}")
    architectures = nats_trials.architectures(read_torch(source, tell), source)
    return nats_trials.converted(_results(architectures, epochs, source), source, epochs)


def read_torch(file: Path, tell: Tell) -> object:
    """Return what torch saved, plain data only, with None for tensors."""
    with watched(file, tell) as stream:
        if not zipfile.is_zipfile(stream):
            stream.seek(0)
            if restricted_pickle.load(stream, file) != _MAGIC:
                raise DataError(f"{file} is no file that torch saved")
            restricted_pickle.load(stream, file)  # the format's version
            restricted_pickle.load(stream, file)  # sizes of numbers on the machine that wrote it
            return restricted_pickle.load(stream, file, _LEFT_OUT)
        with zipfile.ZipFile(stream) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise DataError(f"{file} is no file that torch saved: it has no data.pkl")
            with archive.open(pickles[0]) as pickled:
                return restricted_pickle.load(pickled, file, _LEFT_OUT)


def _results(architectures: Mapping[int, object], epochs: int, source: Path) -> Iterator[Results]:
    for number, lengths in sorted(architectures.items()):
        yield nats_trials.of_length(lengths, LENGTHS[epochs], f"{source}, architecture {number}")
