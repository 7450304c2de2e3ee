"""Sizes of image networks are whole numbers, and images have three of them."""

from __future__ import annotations

import pytest

from evonas.errors import ConfigError
from evonas.spaces.sizes import image_shape, whole_number


def test_a_shape_is_taken_as_yaml_has_it() -> None:
    assert image_shape([3, 32, 30]) == image_shape((3, 32, 30)) == (3, 32, 30)


@pytest.mark.parametrize("shape", [(64,), (3, 0, 32), (3, 32, 32.0), (True, 8, 8), 32, "333", None])
def test_what_is_no_image_is_refused(shape: object) -> None:
    with pytest.raises(ConfigError, match=r"'input_shape' must be an image.*reshape the data"):
        image_shape(shape)


@pytest.mark.parametrize("value", [1, 2.0, True, "3", None])
def test_what_is_no_whole_number_or_too_small_is_refused(value: object) -> None:
    whole_number("layers", 2, 2)
    with pytest.raises(ConfigError, match="'layers' must be a whole number, 2 or more, not"):
        whole_number("layers", value, 2)
