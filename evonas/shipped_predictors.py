"""The predictors that ship, by short names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from evonas import predictors
from evonas.component import Component, checked
from evonas.config import checked_options
from evonas.errors import ComponentError, nearest
from evonas.predictor import Predictor


def named(name: str, options: Mapping[str, Any] | None = None) -> Component:
    """Return the predictor that ships under `name` (of its module), or of an import path, with its options checked."""
    if ":" not in name:
        ship = shipped()
        if name.lower() not in ship:
            raise ComponentError(
                f"no predictor that ships is called '{name}'{nearest(name.lower(), ship)}; your own has "
                f"an import path, package.module:Name"
            )
        name = ship[name.lower()].use
    return checked_options(checked(Component(name, options or {}), Predictor), "--predictor")


def shipped() -> dict[str, Component]:
    """Return the predictors that ship, by the names of their modules."""
    found = {}
    for module in pkgutil.iter_modules(predictors.__path__):
        path = f"{predictors.__name__}.{module.name}"
        for name, value in vars(importlib.import_module(path)).items():
            own = inspect.isclass(value) and issubclass(value, Predictor) and value.__module__ == path
            if own and not inspect.isabstract(value) and not name.startswith("_"):
                found[module.name] = Component(f"{path}:{name}")
    return found
