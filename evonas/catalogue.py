"""What ships: the components of each kind, found by scanning the package."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import evonas
from evonas.component import Component
from evonas.config import option_hints
from evonas.dataset import Dataset
from evonas.errors import ConfigError, nearest
from evonas.evaluation import Evaluator
from evonas.pool import WorkerPool
from evonas.predictor import Predictor
from evonas.space import SearchSpace
from evonas.strategies.base import Strategy
from evonas.supernet import Supernet
from evonas.tracking.base import Tracker
from evonas.tracking.training import TrainingTracker


@cache
def kinds() -> dict[str, tuple[type, ...]]:
    """Return the keys that name components, and what each must be (data: a function that returns it)."""
    method = importlib.import_module("evonas.workers.supernets.method").Method
    return {
        "space": (SearchSpace,),
        "data": (Dataset,),
        "evaluator": (Evaluator,),
        "strategy": (Strategy,),
        "predictor": (Predictor,),
        "supernet": (Supernet,),
        "method": (method,),
        "pool": (WorkerPool,),
        "tracking": (Tracker, TrainingTracker),
    }


INTERNAL = (
    "evonas.cached_pool",
    "evonas.joint_space",
    "evonas.stand_in",
    "evonas.tracking.console",
    "evonas.tracking.training_console",
)


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
            if module.__name__ in INTERNAL:
                continue  # an experiment cannot choose what evonas adds by itself
            if key and not name.startswith("_") and (module.__name__ == value.__module__ or _exported(module, name)):
                summary = (inspect.getdoc(value) or "").partition("\n")[0]
                path = f"{module.__name__}:{name}"
                previous = found.get(f"{key} {value.__qualname__}")
                if previous is None or len(path) < len(previous.component.use):
                    found[f"{key} {value.__qualname__}"] = Entry(key, Component(path), summary)
    order = list(kinds())
    return sorted(found.values(), key=lambda entry: (order.index(entry.key), entry.component.use))


def overview() -> Group:
    """Return what ships, by the key that it goes under: the path to name as `use`, and a sentence below it."""
    lines: list[RenderableType] = []
    for key, group in groupby(entries(), key=lambda entry: entry.key):
        lines.append(Text(key, style="bold"))
        for entry in group:
            lines.append(Text(f"  {entry.component.use}", overflow="ignore", no_wrap=True))
            lines.append(Padding(Text(entry.summary, style="dim"), (0, 0, 0, 6)))
    return Group(*lines, "", Text("'evonas list NAME' shows the options of one of them"))


def explain(name: str) -> Group:
    """Return what a component is, given by its name or its import path, and a table of its options."""
    component = Component(name) if ":" in name else _named(name)
    said = _reflowed(inspect.getdoc(component.load()) or "")
    return Group(Text(f"use: {component.use}\n", style="bold"), Text(said), "", options(component))


def options(component: Component) -> Table:
    """Return a table of a component's options, their types and defaults, as a file of YAML says them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("option", "type", "default"):
        table.add_column(column)
    parameters = component.parameters()
    hints = option_hints(component, parameters)
    for option, parameter in parameters.items():
        required = parameter.default is inspect.Parameter.empty
        hint = _type(hints.get(option, Any))
        table.add_row(option, Text(hint), Text("needed" if required else _plain(parameter.default)))
    return table


def _reflowed(text: str) -> str:
    """Return paragraphs without the line breaks of the source; lists and what is indented keep theirs."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if re.search(r"^( |- )", p, re.MULTILINE) else p.replace("\n", " ") for p in paragraphs)


def _type(hint: Any) -> str:
    """Return a type as people write it: a Literal is its values, and a None is the null of YAML."""
    origin, of = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(map(str, of))
    if origin in (Union, UnionType):
        return " | ".join(map(_type, of))
    if of:
        return f"{_type(origin)}[{', '.join(map(_type, of))}]"
    if hint in (NoneType, Ellipsis):
        return "null" if hint is NoneType else "..."
    return str(getattr(hint, "__name__", hint))


def _plain(default: object) -> str:
    if isinstance(default, Component):
        default = default.plain()
    return default if isinstance(default, str) else json.dumps(default, default=str)


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
        return next((key for key, of in kinds().items() if issubclass(value, of) and value not in of), None)
    if inspect.isfunction(value) and value.__annotations__.get("return") in ("Dataset", Dataset):
        return "data"
    return None


def _exported(module: Any, name: str) -> bool:
    return name in getattr(module, "__all__", ())
