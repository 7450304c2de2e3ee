"""A space that cannot be built without knowing the data."""

from __future__ import annotations

from synthetic import IntegerSpace


class Needing(IntegerSpace):
    """Has no defaults for what the data decide."""

    def __init__(self, *, input_shape: tuple[int, ...], classes: int) -> None:
        self.input_shape, self.classes = input_shape, classes
