"""Which user of this machine runs PostgreSQL, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from kinsight.errors import StartFailed

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user that runs the server; `switch` says whether that is another than the present one."""

    uid: int
    gid: int
    switch: bool

    @property
    def user(self) -> tuple[int, int] | None:
        """What `launch.command` takes."""
        return (self.uid, self.gid) if self.switch else None


def choose_account(folder: Path) -> Account:
    """The owner of the server's folder; without one, the present user, or for root an ordinary one.

    Raises StartFailed when the folder belongs to somebody else, or root finds no ordinary user.
    """
    present = os.geteuid()
    owner = folder.stat() if folder.exists() else None
    if present != 0:
        if owner and owner.st_uid != present:
            raise StartFailed(
                f"{folder} belongs to {_name(owner.st_uid)}: start Kinsight as the user who "
                "made it, or choose another folder with --data-dir."
            )
        return Account(present, os.getegid(), switch=False)
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switch=True)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise StartFailed(
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor "
        "`nobody`: start Kinsight as an ordinary user."
    )


def present_name() -> str:
    """The name of the present user, by which the server recognises it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StartFailed(
            f"User id {os.geteuid()} has no name on this machine, which PostgreSQL needs: add it "
            "to /etc/passwd, or start Kinsight as another user."
        ) from None


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"
