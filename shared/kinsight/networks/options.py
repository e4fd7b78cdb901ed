"""Options of networks and recipes: validated, and documented by their own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from kinsight.errors import BadOption


class Options(BaseModel):
    """Frozen, and unknown names are refused. Each field's description says what it does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkOptions(Options):
    """What every network can be asked for."""

    hash_bits: int = Field(
        default=64,
        ge=0,
        le=2048,
        description="Units of the hash layer that the classifier reads; 0 builds none, and the "
        "code is then a projection of the feature, fitted when training ends.",
    )
    projection_bits: int = Field(
        default=64,
        ge=1,
        le=2048,
        description="Bits of that projection; used without a hash layer only.",
    )
    feature_metric: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="How features are compared."
    )


OptionsType = TypeVar("OptionsType", bound=Options)


def parse(model: type[OptionsType], values: Mapping[str, Any], owner: str) -> OptionsType:
    """`values` as `model`; raises BadOption naming the first bad option and what it may be.

    owner: who has the options, for the sentence: "network alexnet", "recipe head".
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "contradiction":
            name = first["ctx"]["option"]
            raise _bad_option(model, owner, name, first["msg"], values.get(name)) from error
        name = str(first["loc"][0])
        if first["type"] == "missing" and len(first["loc"]) == 1:
            raise BadOption(
                f"The {owner} needs the option {name!r}. {describe(model)[name]['description']}",
                option=name,
            ) from error
        raise _bad_option(model, owner, name, first["msg"], first["input"]) from error


def contradiction(option: str, reason: str) -> PydanticCustomError:
    """For an options class's validator: `option` is right by itself but not with the others.

    reason: ends the sentence "option … cannot be …: ".
    """
    return PydanticCustomError("contradiction", "{reason}", {"option": option, "reason": reason})


def describe(model: type[Options]) -> dict[str, dict[str, Any]]:
    """Per option its JSON schema: type, default, bounds or choices, description."""
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return properties


def _bad_option(model: type[Options], owner: str, name: str, reason: str, value: Any) -> BadOption:
    known = sorted(model.model_fields)
    if name not in model.model_fields:
        return BadOption(
            f"The {owner} has no option {name!r}; its options are {', '.join(known)}.",
            option=name,
            allowed=known,
        )
    schema = describe(model)[name]
    allowed = {key: schema[key] for key in _LIMITS if key in schema}
    return BadOption(
        f"Option {name!r} of the {owner} cannot be {value!r}: {reason}. {schema['description']}",
        option=name,
        allowed=allowed,
    )


_LIMITS = (
    "type",
    "anyOf",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "default",
)
