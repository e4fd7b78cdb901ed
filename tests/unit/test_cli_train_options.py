"""`--option` reaches the recipe or the network that knows it."""

from __future__ import annotations

from kinsight.cli.train_options import RECIPE_OPTIONS, read_options
from kinsight.networks import NETWORKS
from trainer.recipes import RECIPES


def test_the_command_line_knows_every_option_of_every_recipe() -> None:
    known = {name for recipe in RECIPES.values() for name in recipe.options.model_fields}
    assert known == RECIPE_OPTIONS


def test_no_option_belongs_to_both() -> None:
    network = {name for family in NETWORKS.values() for name in family.options.model_fields}
    assert not network & RECIPE_OPTIONS


def test_values_are_json_where_they_can_be() -> None:
    options = read_options(
        ["epochs=3", "learning_rate=1e-3", "clip_norm=null", "pooling=plain", "a.b=x=y"],
        ['norm="batch"', "widths=[1, 2]"],
        ["mirror=true"],
    )
    assert options.recipe == {
        "epochs": 3,
        "learning_rate": 0.001,
        "clip_norm": None,
        "mirror": True,
    }
    assert options.network == {
        "pooling": "plain",
        "a.b": "x=y",
        "norm": "batch",
        "widths": [1, 2],
    }
