"""Predictors that ship have short names, and your own have their paths."""

from __future__ import annotations

import pytest

from evonas.errors import ComponentError, ConfigError
from evonas.shipped_predictors import named, shipped


def test_what_ships_is_named_by_its_module() -> None:
    ship = shipped()
    assert {"ridge", "gp"} <= ship.keys()
    assert named("ridge").use == named("Ridge").use == ship["ridge"].use


def test_your_own_is_named_by_its_path_and_options_are_checked() -> None:
    assert named("linear_predictor:Linear", {"shrink": 0.5}).options == {"shrink": 0.5}
    with pytest.raises(ConfigError, match=r"--predictor: .*shrnk.*did you mean 'shrink'"):
        named("linear_predictor:Linear", {"shrnk": 0.5})
    with pytest.raises(ConfigError, match="must name a class that inherits from Predictor"):
        named("synthetic:IntegerSpace")
    with pytest.raises(ComponentError, match="no predictor that ships is called 'rigde'; did you mean 'ridge'"):
        named("rigde")
