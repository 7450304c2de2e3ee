"""What is wrong with an experiment, in sentences that name the key, the rule, the value and the nearest known key."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic
from pydantic import BaseModel

from evonas.errors import nearest


def explain(error: pydantic.ValidationError, model: type[BaseModel], values: Mapping[str, Any], origin: str) -> str:
    """Return the problems that `model` has with `values`, one a line."""
    lines = dict.fromkeys(_sentence(problem, model, values) for problem in error.errors() if not _other_arm(problem))
    if len(lines) == 1:
        return f"{origin}: {next(iter(lines))}"
    return "\n".join([f"{origin}:", *(f"  {line}" for line in lines)])


def _other_arm(problem: Any) -> bool:
    """Say whether a problem is that a bound, which is a number or a quantile, is not the other of the two."""
    return (problem["type"], *problem["loc"][-1:]) in {("float_type", "float"), ("model_type", "Quantile")}


def _sentence(problem: Any, model: type[BaseModel], values: Mapping[str, Any]) -> str:
    *parents, last = problem["loc"]
    if problem["type"] == "missing":
        return f"{'.'.join([*_steps_taken(parents, values), last])}: this key is needed"
    steps = _steps_taken(problem["loc"], values) or [str(last)]
    if problem["type"] == "extra_forbidden":
        return f"{'.'.join(steps)}: there is no such key{nearest(steps[-1], _keys_at(model, parents))}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = problem["input"]
    shown = "" if isinstance(given, Mapping | BaseModel) else f", not {_shorten(given)}"
    return f"{'.'.join(steps)}: {message}{shown}"


def _steps_taken(location: Sequence[object], values: Any) -> list[str]:
    """Return the steps of a location that are keys or items of `values`; pydantic adds the arms of unions."""
    steps = []
    for step in location:
        is_item = isinstance(values, Sequence) and isinstance(step, int) and step < len(values)
        if is_item or (isinstance(values, Mapping) and step in values):
            steps.append(str(step))
            values = values[step]
    return steps


def _keys_at(model: type[BaseModel], location: Sequence[object]) -> list[str]:
    """Return the keys known at a location: of the nested model that is there, or of `model` itself."""
    for step in location:
        if field := model.model_fields.get(str(step)):
            model = next(_models_in(field.annotation), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
