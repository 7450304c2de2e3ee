"""Checks of the sizes that a space of image networks is given."""

from __future__ import annotations

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


def is_whole(value: object, least: int) -> bool:
    """Say whether the value is a whole number, `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
