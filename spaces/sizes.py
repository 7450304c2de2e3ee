"""Checks of the sizes that a space of image networks is given."""

from __future__ import annotations

import math

from evonas.errors import ConfigError


def whole_number(name: str, value: object, least: int) -> None:
    """Raise ConfigError unless the value is a whole number, `least` or more."""
    if not is_whole(value, least):
        raise ConfigError(f"'{name}' must be a whole number, {least} or more, not {value!r}")


def image_shape(value: object) -> tuple[int, int, int]:
    """Return (channels, height, width), each 1 or more; raise ConfigError for anything else."""
    numbers = tuple(value) if isinstance(value, tuple | list) else ()
    if len(numbers) != 3 or not all(is_whole(number, 1) for number in numbers):
        raise ConfigError(
            f"'input_shape' must be an image, (channels, height, width), each 1 or more, not {value!r}: "
            "reshape the data to images, or take a space for tables"
        )
    return numbers


def ascending(name: str, value: object, *, whole: bool = True) -> tuple[float, ...]:
    """Return options in ascending order, whole numbers from 1 or any above 0; raise ConfigError for anything else."""
    options = tuple(value) if isinstance(value, tuple | list) else ()
    sound = all(is_whole(option, 1) if whole else _is_positive(option) for option in options)
    if not options or not sound or sorted(set(options)) != list(options):
        numbers = "whole numbers, 1 or more" if whole else "numbers above 0"
        raise ConfigError(f"'{name}' must be a list of {numbers}, in ascending order, not {value!r}")
    return options


def is_whole(value: object, least: int) -> bool:
    """Say whether the value is a whole number, `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
