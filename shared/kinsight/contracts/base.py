"""The base of every wire model."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Frozen; unknown fields in a request are an error, so that a typo is never ignored."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True
    )
