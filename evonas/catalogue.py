"""What ships: the components of each kind, found by scanning the package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

import evonas
from evonas.component import Component
from evonas.dataset import Dataset
from evonas.errors import ConfigError, nearest
from evonas.evaluation import Evaluator
from evonas.pool import WorkerPool
from evonas.space import SearchSpace
from evonas.strategies.base import Strategy
from evonas.tracking.base import Tracker

KINDS: dict[str, type] = {
    "space": SearchSpace,
    "data": Dataset,
    "evaluator": Evaluator,
    "strategy": Strategy,
    "pool": WorkerPool,
    "tracking": Tracker,
}
"""The keys of an experiment that name components, and what each must be (data: a function that returns it)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A component that ships: the key it goes under, its import path, and its first sentence."""

    key: str
    component: Component
    summary: str


def entries() -> list[Entry]:
    """Return all components of the package, by kind and name."""
    found: dict[str, Entry] = {}
    for module in _modules():
        for name, value in vars(module).items():
            key = _key(value)
            if key and not name.startswith("_") and (module.__name__ == value.__module__ or _exported(module, name)):
                summary = (inspect.getdoc(value) or "").partition("\n")[0]
                path = f"{module.__name__}:{name}"
                previous = found.get(f"{key} {value.__qualname__}")
                if previous is None or len(path) < len(previous.component.use):
                    found[f"{key} {value.__qualname__}"] = Entry(key, Component(path), summary)
    order = list(KINDS)
    return sorted(found.values(), key=lambda entry: (order.index(entry.key), entry.component.use))


def overview() -> Table:
    """Return a table of what ships."""
    table = Table("key", "use", "what it is", title="evonas list NAME shows the options", title_justify="left")
    key = ""
    for entry in entries():
        if key and entry.key != key:
            table.add_section()
        table.add_row("" if entry.key == key else entry.key, entry.component.use, entry.summary)
        key = entry.key
    return table


def explain(name: str) -> Table:
    """Return a table of the options of a component, given by its name or its import path."""
    component = Component(name) if ":" in name else _named(name)
    function = component.load()
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    table = Table("option", "type", "default", title=f"use: {component.use}", title_justify="left")
    for option, parameter in component.parameters().items():
        required = parameter.default is inspect.Parameter.empty
        table.add_row(option, _type_name(hints.get(option, Any)), "needed" if required else repr(parameter.default))
    table.caption = inspect.getdoc(function) or ""
    table.caption_justify = "left"
    return table


def _named(name: str) -> Component:
    known = {entry.component.use.partition(":")[2]: entry.component for entry in entries()}
    matches = {key.lower(): component for key, component in known.items()}
    if name.lower() not in matches:
        raise ConfigError(f"nothing that ships is called '{name}'{nearest(name, known)}")
    return matches[name.lower()]


def _modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(evonas.__path__, "evonas."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def _key(value: object) -> str | None:
    if inspect.isclass(value) and not inspect.isabstract(value):
        return next((key for key, kind in KINDS.items() if issubclass(value, kind) and value is not kind), None)
    if inspect.isfunction(value) and value.__annotations__.get("return") in ("Dataset", Dataset):
        return "data"
    return None


def _exported(module: Any, name: str) -> bool:
    return name in getattr(module, "__all__", ())


def _type_name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) and not typing.get_args(hint) else str(hint).replace("typing.", "")
