"""The order in which waiting work is taken up."""

from enum import IntEnum


class Lane(IntEnum):
    """Lower goes first: nobody looks at a spinner for the sake of a bulk job."""

    SEARCH = 0
    PREVIEW = 1
    BULK = 2

    @property
    def label(self) -> str:
        return self.name.lower()
