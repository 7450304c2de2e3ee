"""Sizes of image networks are whole numbers, images have three of them, and lists of options ascend."""

from __future__ import annotations

import pytest

from evonas.errors import ConfigError
from evonas.spaces.sizes import ascending, image_shape, whole_number


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


def test_options_are_taken_as_yaml_has_them() -> None:
    assert ascending("kernels", [3, 5]) == (3, 5)
    assert ascending("widths", [0.5, 1], whole=False) == (0.5, 1)


@pytest.mark.parametrize("value", [(), 3, (5, 3), (3, 3), (0, 3), (3.0, 5.0), (True, 2), "357", None])
def test_what_is_no_ascending_list_of_whole_numbers_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="'kernels' must be a list of whole numbers, 1 or more, in ascending order"):
        ascending("kernels", value)


@pytest.mark.parametrize("value", [(), 0.5, (1.0, 0.5), (0.0, 1.0), (-1, 1), (1.0, float("inf")), ("1",)])
def test_what_is_no_ascending_list_of_numbers_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="'widths' must be a list of numbers above 0, in ascending order"):
        ascending("widths", value, whole=False)
