"""How services call each other, and the public client.

`Kinsight` is loaded when it is first asked for: services need the internal clients alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinsight.clients.public import Kinsight

__all__ = ["Kinsight"]


def __getattr__(name: str) -> Any:
    if name == "Kinsight":
        from kinsight.clients.public import Kinsight

        return Kinsight
    raise AttributeError(name)
