"""What the models of an ensemble must have in common, checked before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kinsight.contracts.models import ModelCard, TrainRequest
from kinsight.errors import BadOption

NETWORK = "ensemble"
RECIPE = "average"


def check_recipe(request: TrainRequest) -> None:
    """Raises BadOption where only one of network and recipe is the ensemble's, or weights are."""
    if request.network != NETWORK and request.recipe != RECIPE:
        return
    if request.recipe != RECIPE:
        raise BadOption(
            f"An ensemble is not trained: the recipe {request.recipe} cannot make one. Send "
            f"recipe `{RECIPE}`, which averages trained models.",
            option="recipe",
        )
    if request.network != NETWORK:
        raise BadOption(
            f"The recipe {RECIPE} trains nothing, so it cannot make {request.network}. Send "
            f"network `{NETWORK}` with the ids of trained models in network_options.models.",
            option="network",
        )
    if request.weights != "none":
        raise BadOption(
            "An ensemble takes the weights of its models; send weights `none`.", option="weights"
        )
    if "members" in request.network_options:
        raise BadOption(
            "network_options.members is filled in from the models' cards; leave it out.",
            option="members",
        )


def check_members(request: TrainRequest, cards: Sequence[ModelCard], labels: Iterable[str]) -> None:
    """Raises BadOption naming the first model that does not belong with the others, and why.

    labels: classes of the library's labelled images. Models of one split share the images that
    none of them has seen, so that the ensemble is validated on those too.
    """
    first = cards[0]
    for card in cards:
        if card.library != request.library:
            raise _odd(card, f"is of the library {card.library}, not of {request.library}")
        if card.classes != first.classes:
            raise _odd(card, f"knows other classes than {first.id}: {_difference(card, first)}")
        if card.preprocessing != first.preprocessing:
            fields = [
                f"{name} {value} instead of {getattr(first.preprocessing, name)}"
                for name, value in card.preprocessing
                if value != getattr(first.preprocessing, name)
            ]
            raise _odd(card, f"sees pictures otherwise than {first.id}: {', '.join(fields)}")
        if card.split_seed != request.split_seed:
            raise _odd(
                card,
                f"was trained with split_seed {card.split_seed} and this request says "
                f"{request.split_seed}; send the models' own, which must be the same for all",
            )
        others = set(card.validation_image_ids) ^ set(first.validation_image_ids)
        if others:
            raise _odd(
                card,
                f"was validated on other images than {first.id}: {len(others)} were held out for "
                "one of them and not for the other, as the library changed in between; train it "
                "again",
            )
    check_classes(first, labels)


def check_classes(card: ModelCard, labels: Iterable[str]) -> None:
    """Raises BadOption where the library's classes are no longer those of its models."""
    found = set(labels)
    if found != set(card.classes):
        changed = [f"{name!r} is new" for name in sorted(found - set(card.classes))]
        changed += [f"{name!r} has gone" for name in sorted(set(card.classes) - found)]
        raise BadOption(
            f"The library's classes are not those of the models any more: {', '.join(changed)}. "
            "Train the models again, or label the images as they were.",
            option="models",
        )


def _odd(card: ModelCard, reason: str) -> BadOption:
    return BadOption(
        f"The model {card.id} {reason}. Name models of one library, classes, preprocessing and "
        "split.",
        option="models",
        model=card.id,
    )


def _difference(card: ModelCard, first: ModelCard) -> str:
    more = [f"{name!r} too" for name in card.classes if name not in first.classes]
    less = [f"not {name!r}" for name in first.classes if name not in card.classes]
    return ", ".join(more + less) or "in another order"
