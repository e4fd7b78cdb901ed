"""Telling a full disk from what else can go wrong with a file."""

from __future__ import annotations

import errno


def is_full(error: BaseException) -> bool:
    """Whether the disk, a quota or a limit on a file's size leaves no room for more."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.errno in full
