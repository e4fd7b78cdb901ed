"""Recipes (★): ways to train a network. Adding one is a file and a line in `RECIPES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kinsight.errors import UnknownRecipe
from kinsight.networks.options import describe, parse
from trainer.recipes.average import AverageRecipe
from trainer.recipes.base import Recipe, RecipeOptions, Trained
from trainer.recipes.fast import FastRecipe
from trainer.recipes.fine_tune import FineTuneRecipe
from trainer.recipes.head import HeadRecipe
from trainer.recipes.paper_2012 import Paper2012Recipe

__all__ = [
    "RECIPES",
    "Recipe",
    "RecipeOptions",
    "Trained",
    "find",
    "option_descriptions",
    "options_for",
]

RECIPES: dict[str, Recipe] = {
    "average": AverageRecipe(),
    "fast": FastRecipe(),
    "fine-tune": FineTuneRecipe(),
    "head": HeadRecipe(),
    "paper-2012": Paper2012Recipe(),
}


def find(name: str) -> Recipe:
    """Raises UnknownRecipe, naming those there are."""
    recipe = RECIPES.get(name)
    if recipe is None:
        raise UnknownRecipe(
            f"There is no recipe {name!r}; there are {' and '.join(sorted(RECIPES))}.",
            recipes=sorted(RECIPES),
        )
    return recipe


def options_for(name: str, options: Mapping[str, Any]) -> RecipeOptions:
    """Validated options; raises UnknownRecipe or BadOption."""
    return parse(find(name).options, options, f"recipe {name}")


def option_descriptions(name: str) -> dict[str, dict[str, Any]]:
    """Per option of a recipe its JSON schema; raises UnknownRecipe."""
    return describe(find(name).options)
