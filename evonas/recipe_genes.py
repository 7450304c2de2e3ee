"""Recipe genes: options of an evaluator that an experiment makes genes of, checked before a search begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evonas.component import Component
from evonas.config import checked_options
from evonas.errors import ConfigError, nearest
from evonas.evaluation import Evaluator


def check(
    recipe: Mapping[str, Sequence[object]],
    component: Component,
    evaluator: Evaluator,
    supplies: Mapping[str, object],
) -> None:
    """Raise ConfigError for a gene that `evaluator`, built from `component`, does not follow, or an option it refuses.

    Each option is tried alone: `component` is built with it, by its own rules and with the same `supplies`. A gene that
    it follows without having such an option, as a predictor that was fitted to it does, is its own to check.
    """
    if not evaluator.recipe_options:
        raise ConfigError(
            f"recipe: {component.use} trains by no recipe, so its {', '.join(recipe)} cannot be searched: leave "
            f"'recipe' out, or take an evaluator that trains, such as evonas.workers.trained:Trained"
        )
    for name, options in recipe.items():
        if name not in evaluator.recipe_options:
            raise ConfigError(
                f"recipe: '{name}' is no option that {component.use} can follow a gene in"
                f"{nearest(name, evaluator.recipe_options)}"
            )
        for option in options if name in component.parameters() else ():
            chosen = Component(component.use, {**component.options, name: option})
            checked = checked_options(chosen, "recipe")
            try:
                checked.build(supplies)
            except ConfigError as error:
                raise ConfigError(f"recipe: {error}") from error
