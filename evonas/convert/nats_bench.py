"""The topology files of NATS-Bench: the pickle `NATS-tss-v1_0-3ffb9.pickle.pbz2`, or the folder `...-simple`."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path

from evonas import restricted_pickle
from evonas.convert import nats_trials
from evonas.convert.base import Converted, Tell, watched
from evonas.convert.nats_trials import Results
from evonas.errors import DataError

ENDING = ".pickle.pbz2"


def convert(source: Path, epochs: int, tell: Tell) -> Converted:
    """Return the table of all architectures after 12 or 200 epochs of training.

    The file (Dong et al., TPAMI 2021) is a bz2 of a pickled dictionary, where `arch2infos` has, by the architecture's
    number, a dictionary of length of training ('12', '200') to results; the folder has that inner dictionary of each
    architecture in a file of its own, `000000.pickle.pbz2` and so on, and needs far less memory. Raises DataError for
    what is not of this format.
    """
    return nats_trials.converted(_results(source, epochs, tell), source, epochs)


def _results(source: Path, epochs: int, tell: Tell) -> Iterator[Results]:
    if source.is_dir():
        files = sorted(file for file in source.glob(f"*{ENDING}") if file.name.removesuffix(ENDING).isdecimal())
        if not files:
            raise DataError(f"there is no 000000{ENDING} or the like in {source}: name the folder NATS-tss-...-simple")
        for number, file in enumerate(files, start=1):
            yield nats_trials.of_length(_read(file, lambda _: None), str(epochs), file)
            tell(number / len(files))
        return
    for number, lengths in sorted(nats_trials.architectures(_read(source, tell), source).items()):
        yield nats_trials.of_length(lengths, str(epochs), f"{source}, architecture {number}")


def _read(file: Path, tell: Tell) -> object:
    try:
        with watched(file, tell) as stream, bz2.BZ2File(stream) as unpacked:
            whole = restricted_pickle.load(unpacked, file)
            unpacked.read()  # to the end, where the checksum is
            return whole
    except (OSError, EOFError) as error:
        raise DataError(f"{file} is no bz2 file, or is damaged or cut short: get it again ({error})") from error
