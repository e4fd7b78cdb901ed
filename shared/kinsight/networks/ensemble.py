"""Several trained models as one: the mean of their softmax (AlexNet §6; Tables 1 and 2 there)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.errors import BadOption
from kinsight.networks.base import Outputs, RetrievalNetwork
from kinsight.networks.folding import Folding
from kinsight.networks.options import Options, contradiction

# pgvector's type `vector` holds no more.
_MOST_DIMENSIONS = 16_000

BuildNetwork = Callable[[str, Mapping[str, Any], int], RetrievalNetwork]
"""Name, options and number of classes to a network."""


class Member(Options):
    """What one model of an ensemble is, from its card."""

    model: str
    network: str
    network_options: dict[str, Any]
    preprocessing: Preprocessing


class EnsembleOptions(Options):
    models: tuple[str, ...] = Field(
        min_length=2,
        max_length=16,
        description="Ids of the trained models, as a list or as one text with commas.",
    )
    members: tuple[Member, ...] = Field(
        default=(),
        description="What these models are; filled in when the ensemble is made, from their cards.",
    )
    feature_limit: int = Field(
        default=_MOST_DIMENSIONS,
        ge=64,
        le=_MOST_DIMENSIONS,
        description="Where the models' features have more dimensions together, they are folded to "
        "so many, which keeps distances about as they are.",
    )

    @field_validator("models", mode="before")
    @classmethod
    def _split_text(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @model_validator(mode="after")
    def _check_models(self) -> EnsembleOptions:
        twice = sorted({model for model in self.models if self.models.count(model) > 1})
        if twice:
            raise contradiction("models", f"{twice[0]} is named twice")
        if self.members and tuple(member.model for member in self.members) != self.models:
            raise contradiction("members", "they are not those of `models`; leave them out")
        return self


class Ensemble(RetrievalNetwork):
    """p = (1/M) Σ p_m of M members; logits are log p, whose softmax is p.

    The feature is the members' features one after another, each scaled to length 1: backbones
    differ in the scale of their features, and unscaled the largest alone would decide what is
    near. The squared distance is then Σ 2(1 − cos_m), every member counting alike. The code is
    their codes one after another.
    """

    members: nn.ModuleList

    def __init__(self, members: list[RetrievalNetwork], feature_limit: int) -> None:
        super().__init__("euclidean")
        self.members = nn.ModuleList(members)
        self._classes = members[0].classes
        self._bits = [member.code_bits for member in members]
        self._learned = all(member.code_kind == "hash-layer" for member in members)
        self._dimensions = [member.feature_dimensions for member in members]
        self.foldings: nn.ModuleList | None = None
        total = sum(self._dimensions)
        if total > feature_limit:
            folded = [max(1, size * feature_limit // total) for size in self._dimensions]
            self.foldings = nn.ModuleList(map(Folding, self._dimensions, folded))
            self._dimensions = folded

    def forward(self, x_BCHW: Tensor) -> Outputs:
        outputs: list[Outputs] = [member(x_BCHW) for member in self.members]
        probabilities = torch.stack([one.probabilities for one in outputs]).mean(dim=0)
        smallest = torch.finfo(probabilities.dtype).tiny
        return Outputs(
            probabilities.clamp_min(smallest).log(),
            self._joined([one.feature for one in outputs]),
            torch.cat([one.activations.float() for one in outputs], dim=1),
        )

    def features(self, x_BCHW: Tensor) -> Tensor:
        return self._joined([member.features(x_BCHW) for member in self._networks])

    @property
    def classes(self) -> int:
        return self._classes

    @property
    def feature_dimensions(self) -> int:
        return sum(self._dimensions)

    @property
    def code_bits(self) -> int:
        return sum(self._bits)

    @property
    def code_kind(self) -> Literal["hash-layer", "projection"]:
        """A projection's where any member's is."""
        return "hash-layer" if self._learned else "projection"

    @property
    def _networks(self) -> list[RetrievalNetwork]:
        return [member for member in self.members if isinstance(member, RetrievalNetwork)]

    def _joined(self, features: list[Tensor]) -> Tensor:
        parts = [nn.functional.normalize(feature.float(), dim=1) for feature in features]
        if self.foldings is not None:
            parts = [fold(part) for fold, part in zip(self.foldings, parts, strict=True)]
        return torch.cat(parts, dim=1)


class EnsembleFamily:
    """The one network `ensemble`. `build_member` builds any network of the table."""

    options = EnsembleOptions

    def __init__(self, build_member: BuildNetwork) -> None:
        self._build_member = build_member

    def variants(self) -> list[str]:
        return [""]

    def build(self, variant: str, options: Options, classes: int) -> Ensemble:
        networks = [
            self._build_member(member.network, member.network_options, classes)
            for member in _members(options)
        ]
        return Ensemble(networks, _checked(options).feature_limit)

    def preprocessing(self, variant: str, options: Options) -> Preprocessing:
        """That of the members, who share one."""
        return _members(options)[0].preprocessing

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        return None


def _checked(options: Options) -> EnsembleOptions:
    assert isinstance(options, EnsembleOptions)
    return options


def _members(options: Options) -> tuple[Member, ...]:
    """Raises BadOption where they are not filled in."""
    members = _checked(options).members
    if not members:
        raise BadOption(
            "An ensemble is made of trained models, by the recipe `average`; it has no weights of "
            "its own to be built with.",
            option="members",
        )
    return members
