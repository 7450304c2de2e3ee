"""The experiment file: strict, frozen models of what a YAML file and `key=value` overrides may say."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import typing
from collections.abc import Container, Mapping, Sequence, Set
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticSerializationError, to_jsonable_python

from evonas.component import Component
from evonas.config_errors import explain
from evonas.config_text import apply_overrides, read_yaml
from evonas.early_exit import AppliesTo
from evonas.errors import ComponentError, ConfigError, nearest


class Strict(BaseModel):
    """A model that refuses unknown keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def _as_component(value: object) -> object:
    if not isinstance(value, str | Mapping | Component):
        raise ValueError("must be 'package.module:Name', or {use: package.module:Name} with options")
    if isinstance(value, Mapping) and not isinstance(value.get("use"), str):
        raise ValueError("needs 'use: package.module:Name'")
    return Component.of(value)


ComponentField = Annotated[
    Component,
    BeforeValidator(_as_component),
    PlainSerializer(Component.plain),
]

NestedComponent = Annotated[ComponentField, AfterValidator(lambda component: checked_options(component, component.use))]
"""An option of a component that is a component itself, as a strategy's predictor is: its options are checked too."""


class Quantile(Strict):
    """A bound given as a share of the space: `{quantile: 0.5}` lets the lower half of uniform genomes through."""

    quantile: float = Field(gt=0, le=1)


def _as_bound(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Mapping | Quantile):
        raise ValueError("must be a number, or {quantile: 0.5} for the median of the space")
    return value


Bound = Annotated[float | Quantile, BeforeValidator(_as_bound)]


class ObjectiveConfig(Strict):
    """A metric to trade off. Direction and worst value come from the evaluator's declaration unless given here."""

    metric: str
    maximize: bool | None = None
    worst: float | None = None


class ConstraintConfig(Strict):
    """A metric that must stay within bounds."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> ConstraintConfig:
        return _check_bounded(self)


class GateConfig(Strict):
    """A bound that turns candidates away: on a static cost, else on a proxy, or on what an `evaluator` measures."""

    metric: str
    at_most: Bound | None = None
    at_least: Bound | None = None
    applies_to: AppliesTo = "all"
    evaluator: NestedComponent | None = None

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> GateConfig:
        return _check_bounded(self)


Bounded = typing.TypeVar("Bounded", ConstraintConfig, GateConfig)


def _check_bounded(bounds: Bounded) -> Bounded:
    if bounds.at_most is None and bounds.at_least is None:
        raise ValueError(f"needs a bound on '{bounds.metric}': at_most, at_least or both")
    return bounds


class PlateauConfig(Strict):
    """When the hypervolume counts as grown: see `evonas.plateau.Plateau`."""

    window: int = Field(default=100, ge=10)
    epsilon: float = Field(default=0.001, gt=0, lt=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)


def _as_audit(value: object) -> object:
    short = re.fullmatch(r"every (\d+)", value) if isinstance(value, str) else None
    return {"every": int(short[1])} if short else value


def _as_auditor(value: object) -> object:
    return {"use": "evonas.workers.trained:Trained", **value} if isinstance(value, Mapping) else value


class AuditConfig(Strict):
    """How a search is audited while it runs: see `evonas.live_audit.LiveAudit`. Without `use` the evaluator trains."""

    every: int = Field(ge=1)
    evaluator: Annotated[NestedComponent | None, BeforeValidator(_as_auditor)] = None


def _as_objective(value: object) -> object:
    return {"metric": value} if isinstance(value, str) else value


def _as_name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError("must start with a letter or digit and hold only letters, digits, '.', '_' and '-'")
    return value


Name = Annotated[str, AfterValidator(_as_name)]
"""A name that folders and MLflow take."""


def _as_choices(value: object) -> object:
    if not isinstance(value, list | tuple) or not value or any(isinstance(option, list | dict) for option in value):
        raise ValueError("must be a list of plain options to choose from, such as [0.05, 0.1]")
    return tuple(value)


Choices = Annotated[tuple[Any, ...], BeforeValidator(_as_choices)]


class Experiment(Strict):
    """A whole experiment; every key has a default, so a file says only what differs."""

    name: Name = "search"
    seed: int = Field(default=0, ge=0)
    space: ComponentField = Component("evonas.spaces.cell201:Cell201")
    data: ComponentField | None = Component("evonas.workers.datasets:digits")
    evaluator: ComponentField = Component("evonas.workers.trained:Trained")
    recipe: Annotated[dict[str, Choices], BeforeValidator(lambda value: {} if value is None else value)] = {}
    strategy: ComponentField = Component("evonas.strategies.pymoo_nsga2:NSGA2")
    objectives: tuple[Annotated[ObjectiveConfig, BeforeValidator(_as_objective)], ...] = (
        ObjectiveConfig(metric="valid_error"),
        ObjectiveConfig(metric="params"),
    )
    constraints: tuple[ConstraintConfig, ...] = ()
    gates: tuple[GateConfig, ...] = ()
    warm_start: Path | None = None
    evaluations: int = Field(default=400, ge=1)
    plateau: PlateauConfig | None = None
    audit: Annotated[AuditConfig | None, BeforeValidator(_as_audit)] = None
    max_consecutive_failures: int = Field(default=10, ge=1)
    pool: ComponentField = Component("evonas.workers.ray_pool:RayPool")
    tracking: ComponentField | None = Component("evonas.tracking.mlflow:MLflow")
    cache: Path | None = None
    runs: Path = Path("runs")

    def plain(self) -> dict[str, Any]:
        """Return the experiment as JSON-plain values; of what few experiments have it speaks where there is any."""
        unsaid = {key for key in ("recipe", "plateau", "warm_start", "audit") if not getattr(self, key)}
        return self.model_dump(mode="json", exclude=unsaid)

    def identity(self) -> str:
        """Return a hash of what is decisive."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()[:16]

    def decisive(self) -> dict[str, Any]:
        """Return all that decides the outcome as plain values: not the pool, tracking, cache, length or folder."""
        decisive = {key: value for key, value in self.plain().items() if key not in CHANGEABLE}
        return {**decisive, "pool.cpus": self.threads, "pool.device": self.device}

    @property
    def threads(self) -> int:
        """The torch threads of a worker, on which trained weights depend: its `cpus`, or LocalPool's `threads`."""
        options = self.pool.options
        return max(1, int(options.get("cpus") or options.get("threads") or 1))

    @property
    def device(self) -> Literal["cpu", "gpu"]:
        """The kind of device of a worker, on which trained weights depend: from its `gpus`, or LocalPool's `device`."""
        gpus = self.pool.options.get("gpus")
        asked = isinstance(gpus, int | float) and gpus > 0
        return "gpu" if asked or str(self.pool.options.get("device")).startswith("cuda") else "cpu"


FOLLOW_THE_DATA = frozenset({"input_shape", "classes"})
"""Options of a space that are taken from the data, and need not be given although its constructor requires them."""

CHANGEABLE = frozenset(
    {"name", "evaluations", "plateau", "max_consecutive_failures", "pool", "tracking", "cache", "runs"}
)
"""The keys that may differ when a run is resumed (of `pool`, all but a worker's threads and kind of device)."""


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment file and apply `key=value` overrides; raise ConfigError for whatever is wrong."""
    return parse(read(path), overrides, origin=str(path))


def read(path: Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file; raise ConfigError if it holds none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        found = [str(p) for folder in (path.parent, Path("experiments")) for p in folder.glob("*.yaml")]
        raise ConfigError(f"there is no experiment file {path}{nearest(str(path), found)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    document = read_yaml(text, origin=str(path))
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold keys and values, not a {type(document).__name__}")
    return document


def parse(document: Mapping[str, Any], overrides: Sequence[str] = (), origin: str = "experiment") -> Experiment:
    """Turn plain values into an Experiment whose components' options are checked and complete with defaults."""
    return parsed(Experiment, document, overrides, origin)


Model = typing.TypeVar("Model", bound=Strict)


def parsed(model: type[Model], document: Mapping[str, Any], overrides: Sequence[str], origin: str) -> Model:
    """Turn plain values into a `model`, whose fields all have defaults, its components checked and complete.

    Where it has data, the options of its space that follow the data may be left out.
    """
    try:
        given = json.loads(json.dumps(document, default=str))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: {error}: only plain keys and values may be given") from error
    values = _with_use(model, {**model().model_dump(mode="json"), **given})
    apply_overrides(values, overrides)
    values = _with_use(model, values)
    try:
        filled = model.model_validate_json(json.dumps(values), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(explain(error, model, values, origin)) from None
    followed = {"space": FOLLOW_THE_DATA} if getattr(filled, "data", None) is not None else {}
    checked = {
        key: checked_options(component, f"{origin}: {key}", followed.get(key, frozenset()))
        for key in _components(model)
        if isinstance(component := getattr(filled, key), Component)
    }
    return filled.model_copy(update=checked)


def _components(model: type[Strict]) -> list[str]:
    return [key for key, field in model.model_fields.items() if isinstance(field.default, Component)]


def _with_use(model: type[Strict], values: dict[str, Any]) -> dict[str, Any]:
    """Let the options of a component that is not named be those of the default one."""
    named = {
        key: {"use": model.model_fields[key].default.use, **values[key]}
        for key in _components(model)
        if isinstance(values.get(key), dict)
    }
    return {**values, **named}


def checked_options(component: Component, origin: str, filled_in: Set[str] = frozenset()) -> Component:
    """Return the component with its options checked against its signature's types, and completed with its defaults.

    Those named in `filled_in` get their value later: they are left out where they are neither given nor have a default.
    """
    try:
        parameters = component.parameters()
        given = {**_defaults(component, parameters), **component.options}
        model = _options_model(component, parameters, filled_in)
    except ComponentError as error:
        raise ComponentError(f"{origin}: {error}") from error.__cause__
    try:
        options = model.model_validate_json(json.dumps(given), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(explain(error, model, given, origin)) from None
    except ConfigError as error:  # of a component that is an option
        raise type(error)(f"{origin}: {error}") from error.__cause__
    left_out = model.model_fields.keys() - options.model_fields_set
    return Component(component.use, options.model_dump(mode="json", by_alias=True, exclude=left_out))


def _defaults(component: Component, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return the defaults as plain values, so that they are checked, and written down, as if they had been given."""
    given = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    try:
        return {
            name: default.plain() if isinstance(default, Component) else to_jsonable_python(default)
            for name, default in given.items()
        }
    except PydanticSerializationError as error:
        raise ComponentError(f"{component.use}: a default is no plain value: {error}") from error


def _options_model(
    component: Component, parameters: Mapping[str, inspect.Parameter], filled_in: Set[str]
) -> type[Strict]:
    """Return a model of the options; its fields have aliases, because an option may be called `copy`."""
    hints = option_hints(component, parameters)
    fields: dict[str, Any] = {}
    for number, (name, parameter) in enumerate(parameters.items()):
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise ComponentError(f"{component.use} takes *{name}: a component must name its options one by one")
        hint = _nested(hints.get(name, Any))
        default = None if name in filled_in else ...
        type_ = hint if parameter.default is not None else hint | None
        fields[f"option_{number}"] = (type_, Field(default, alias=name))
    return pydantic.create_model("Options", __base__=Strict, **fields)


def _nested(hint: Any) -> Any:
    if hint is Component:
        return NestedComponent
    if hint == Sequence[Component]:
        return list[NestedComponent]
    return NestedComponent | None if hint == Component | None else hint


def option_hints(component: Component, options: Container[str]) -> dict[str, Any]:
    """Return the types of the options; those of other parameters may be imported for type checkers only."""
    function = component.load()
    called = function.__init__ if inspect.isclass(function) else function
    annotations = {n: hint for n, hint in getattr(called, "__annotations__", {}).items() if n in options}
    namespace = SimpleNamespace(__annotations__=annotations)
    try:
        return typing.get_type_hints(namespace, getattr(called, "__globals__", {}), include_extras=True)
    except NameError as error:
        raise ComponentError(
            f"{component.use}: the type of an option is not known where it is used: {error}"
        ) from error
