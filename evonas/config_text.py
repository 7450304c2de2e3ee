"""Plain values from what a person writes: YAML text, and `key=value` overrides of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from evonas.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that is given twice and reads 1e-3 as a number, as YAML 1.2 does."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' is given twice", key.start_mark
                )
            seen.add(key.value)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(text: str, origin: str) -> Any:
    """Return the values of a YAML text; raise ConfigError, which says where, if it is none."""
    loader = _Loader(text)
    loader.name = origin
    try:
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date like 2025-13-32
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error
    finally:
        loader.dispose()


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set `a.b.0=value` for each override in turn, `use` first: another class takes none of the last one's options."""
    for override in sorted(overrides, key=lambda override: not override.partition("=")[0].endswith(".use")):
        path, equals, text = override.partition("=")
        steps = path.strip().split(".")
        if not equals or not all(steps):
            raise ConfigError(f"an override reads key=value, e.g. strategy.population=20, not '{override}'")
        _set(values, steps, read_yaml(text, f"the value of override '{override}'"), override)


def _set(values: dict[str, Any], steps: Sequence[str], value: object, override: str) -> None:
    *parents, last = steps
    target: Any = values
    for step in parents:
        target = _step_into(target, step, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
        return
    if last == "use" and target.get("use") != value:
        target.clear()
    target[last] = value


def _step_into(target: Any, step: str, override: str) -> Any:
    """Return what `step` leads to; short forms (`space: package.module:Name`, `objectives: [params]`) are spelt out."""
    key: Any = step
    short = "use"
    if isinstance(target, list):
        key, short = _index(target, step, override), "metric"
    elif target.get(key) is None:
        target[key] = {}
    if isinstance(target[key], str):
        target[key] = {short: target[key]}
    if not isinstance(target[key], dict | list):
        raise ConfigError(f"override '{override}': '{step}' is {target[key]!r} and has no keys of its own")
    return target[key]


def _index(items: Sequence[object], step: str, override: str) -> int:
    if not items:
        raise ConfigError(f"override '{override}': the list is empty and has no item '{step}': give it whole, as [...]")
    if step.isdecimal() and int(step) < len(items):
        return int(step)
    raise ConfigError(
        f"override '{override}': '{step}' must be a number from 0 to {len(items) - 1}, an item of the list"
    )
