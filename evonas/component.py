"""A recipe for an object: the import path of a class or function, and its options."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evonas.errors import ComponentError, ConfigError, EvonasError, nearest

SUPPLIED = frozenset({"space", "data", "goals", "admit", "seed", "recipe", "shared", "run_folder", "fidelities"})
"""Parameter names that evonas fills in; every other parameter of a component's constructor is an option."""


@dataclass(frozen=True, slots=True)
class Component:
    """What to build (`use`: `package.module:Name`) and with which options (JSON-plain values).

    Picklable and small: it is built where it is used.
    """

    use: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | Component) -> Component:
        """Return what a plain value names: an import path, or a mapping of `use` and options."""
        if isinstance(value, Component):
            return value
        if isinstance(value, str):
            return cls(value)
        return cls(value["use"], {key: option for key, option in value.items() if key != "use"})

    def plain(self) -> dict[str, Any]:
        """Return the component as a plain value."""
        return {"use": self.use, **self.options}

    def load(self) -> Callable[..., Any]:
        """Import and return the class or function; raise ComponentError with the nearest existing name."""
        module_name, colon, name = self.use.partition(":")
        if not colon or not name.isidentifier() or not all(module_name.split(".")):
            raise ComponentError(
                f"'use: {self.use}' must read 'package.module:Name': write the full import path, which 'evonas list' "
                f"shows for what ships"
            )
        module = _import(module_name, self.use)
        if not hasattr(module, name):
            known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
            raise ComponentError(f"'use: {self.use}': module '{module_name}' has no '{name}'{nearest(name, known)}")
        loaded = getattr(module, name)
        if not callable(loaded):
            raise ComponentError(f"'use: {self.use}' is of type {type(loaded).__name__}, not a class or a function")
        if inspect.isabstract(loaded):
            lacking = ", ".join(sorted(loaded.__abstractmethods__))
            raise ComponentError(f"'use: {self.use}' names an abstract class: it lacks {lacking}")
        return loaded  # type: ignore[no-any-return]

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the options that the class or function takes, by name."""
        return {n: p for n, p in self._signature().parameters.items() if n not in SUPPLIED}

    def build(self, supplies: Mapping[str, object] | None = None) -> Any:
        """Call the class or function with the options and with those `supplies` that it asks for by name."""
        supplies = supplies or {}
        signature = self._signature()
        wanted = signature.parameters
        missing = [name for name in wanted if name in SUPPLIED and name not in supplies and _required(wanted[name])]
        if missing:
            way_out = ": set 'data:' in the experiment" if "data" in missing else ""
            raise ComponentError(
                f"'use: {self.use}' asks for {', '.join(missing)}, which cannot be supplied here{way_out}"
            )
        given = {name: supplies[name] for name in wanted if name in supplies}
        options = {name: _built_option(wanted.get(name), value) for name, value in self.options.items()}
        try:
            signature.bind(**given, **options)
        except TypeError as error:
            raise ComponentError(f"'use: {self.use}' refuses its options: {error}") from error
        try:
            return self.load()(**given, **options)
        except ConfigError as error:
            raise type(error)(f"{self.use.partition(':')[2]}: {error}") from error
        except EvonasError:
            raise
        except Exception as error:  # whatever a user's own code may raise
            raise ComponentError(
                f"'use: {self.use}' fails when it is built: {type(error).__name__}: {error}{_place(error)}: "
                f"mend it, or the options that it is given"
            ) from error

    def _signature(self) -> inspect.Signature:
        loaded = self.load()
        try:
            return inspect.signature(loaded)
        except (ValueError, TypeError) as error:  # some classes that are written in C
            raise ComponentError(
                f"'use: {self.use}' does not tell which options it takes: wrap it in a function"
            ) from error


def checked(component: Component, kind: type) -> Component:
    """Return the component if it is a class of that kind: nothing else is ever called, whatever a file names."""
    loaded = component.load()
    if not (inspect.isclass(loaded) and issubclass(loaded, kind)):
        raise ConfigError(f"'use: {component.use}' must name a class that inherits from {kind.__name__}")
    return component


def _built_option(parameter: inspect.Parameter | None, value: Any) -> Any:
    """Return the value that an option is given: plain values that name components, where asked for, as them."""
    if parameter is None or value is None:
        return value
    if parameter.annotation in _COMPONENTS:
        return [Component.of(each) for each in value]
    return Component.of(value) if parameter.annotation in _COMPONENT else value


_COMPONENT = ("Component", "Component | None", Component, Component | None)
_COMPONENTS = ("Sequence[Component]", Sequence[Component])


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame that is the user's code, else of the innermost one of all."""
    libraries = {*sysconfig.get_paths().values(), str(Path(__file__).parent)}
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is the call in `build`
    own = [f for f in frames if not f.filename.startswith(("<frozen", *(f"{folder}/" for folder in libraries)))]
    return f" ({(own or frames)[-1].filename}, line {(own or frames)[-1].lineno})" if frames else ""


def _import(module_name: str, use: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:  # a user's own module lies in the current folder
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module can do anything when it is imported
        if not isinstance(error, ModuleNotFoundError) or error.name is None:
            raise ComponentError(f"'use: {use}': {module_name} cannot be imported: {_explain(error)}") from error
        if module_name == error.name or module_name.startswith(error.name + "."):
            raise ComponentError(
                f"'use: {use}': there is no module '{error.name}'{_nearest_module(error.name)}"
            ) from error
        raise ComponentError(
            f"'use: {use}' needs the package '{error.name}', which is not installed: {_explain(error)}"
        ) from error


def _explain(error: BaseException) -> str:
    """Return what went wrong at an import, with the file and line of the statement that was being imported."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
    place = f" ({lines[-1].filename}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _nearest_module(missing: str) -> str:
    package_name, _, last = missing.rpartition(".")
    try:
        folders = importlib.import_module(package_name).__path__ if package_name else [str(Path.cwd())]
    except (ImportError, AttributeError):
        folders = []
    found = [module.name for module in pkgutil.iter_modules(folders)]
    if package_name and found:
        return nearest(last, found)
    close = difflib.get_close_matches(last, found, n=1)
    return f"; did you mean '{close[0]}'?" if close else "; run from the folder that holds it, or install it"
