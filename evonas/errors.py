"""The exceptions that users meet: each message names the rule, the value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvonasError(Exception):
    """A mistake or a limit that a person can act on; the command line prints it alone and exits with `exit_code`."""

    exit_code = 2


class ConfigError(EvonasError):
    """The experiment says something that cannot be understood or done."""


class ComponentError(ConfigError):
    """A class named by `use:` cannot be found, or refuses its options."""


class GenomeError(EvonasError):
    """A genome does not belong to the space."""


class DataError(EvonasError):
    """A data set is missing, empty or inconsistent."""


class GateError(EvonasError):
    """A gate turns every candidate away."""


class ResourceError(EvonasError):
    """The machine or cluster does not have what the experiment asks for."""


class TrackingError(EvonasError):
    """The tracking server cannot be used."""


class RunFolderError(EvonasError):
    """A run folder exists, is missing, is in use, or belongs to another experiment."""


class JournalError(RunFolderError):
    """The journal cannot be read."""


class JobError(EvonasError):
    """A search cannot be submitted, found or followed on a cluster."""


class SearchStopped(EvonasError):
    """The search gave up: too many failures in a row."""

    exit_code = 1


class TrainingStopped(EvonasError):
    """The training of a supernet gave up: its loss is not finite, or its workers die."""

    exit_code = 1


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest known word, else the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def require(name: str, value: object, holds: bool, rule: str) -> None:
    """Raise ConfigError unless the rule holds: "'workers' must be 1 or more, and is 0"."""
    if not holds:
        raise ConfigError(f"'{name}' must be {rule}, and is {value}")
