"""What is wrong with an experiment, in sentences that name the key, the rule, the value and the nearest known key."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic
from pydantic import BaseModel

from evonas.errors import nearest


def explain(error: pydantic.ValidationError, model: type[BaseModel], values: Mapping[str, Any], origin: str) -> str:
    """Return the problems that `model` has with `values`, one a line."""
    problems = [problem for problem in error.errors() if not _other_arm(problem)]
    places = [tuple(_place(problem, values)) for problem in problems]
    deepest = [
        problem
        for problem, place in zip(problems, places, strict=True)
        if not any(len(other) > len(place) and other[: len(place)] == place for other in places)
    ]  # where a value may be of several shapes, what is inside it was looked at in the shape that was meant
    lines = dict.fromkeys(_sentence(problem, model, values) for problem in deepest)
    if len(lines) == 1:
        return f"{origin}: {next(iter(lines))}"
    return "\n".join([f"{origin}:", *(f"  {line}" for line in lines)])


def _other_arm(problem: Any) -> bool:
    """Say whether a problem is that a bound, which is a number or a quantile, is not the other of the two."""
    return (problem["type"], *problem["loc"][-1:]) in {("float_type", "float"), ("model_type", "Quantile")}


def _sentence(problem: Any, model: type[BaseModel], values: Mapping[str, Any]) -> str:
    steps = _place(problem, values)
    if problem["type"] == "missing":
        return f"{'.'.join(steps)}: this key is needed"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{'.'.join(steps)}: there is no such key{nearest(steps[-1], _keys_at(model, problem['loc'][:-1]))}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = problem["input"]
    shown = "" if isinstance(given, Mapping | BaseModel) else f", not {_shorten(given)}"
    return f"{'.'.join(steps)}: {message}{shown}"


def _place(problem: Any, values: Mapping[str, Any]) -> list[str]:
    """Return where a problem is, as keys and items of `values`; a key that is missing is the last step."""
    *parents, last = problem["loc"]
    if problem["type"] == "missing":
        return [*_steps_taken(parents, values), str(last)]
    return _steps_taken(problem["loc"], values) or [str(last)]


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
    """Return the keys known at a location: of the nested model or dataclass that is there, or of `model` itself."""
    for step in location:
        field = next((f for name, f in model.model_fields.items() if step in (name, f.alias)), None)
        nested = next(_models_in(field.annotation), model) if field else model
        if not issubclass(nested, BaseModel):
            return [field.name for field in dataclasses.fields(nested)]
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[Any]]:
    if inspect.isclass(annotation) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
