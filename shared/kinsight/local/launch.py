"""Turns this process into another program, set up so that it cannot outlive its parent.

Run as a script, `python -I -S launch.py SPECIFICATION PROGRAM ARGUMENT…`, and by path, because it
must need nothing but the standard library and start in milliseconds. What a `preexec_fn` would do
between fork and exec is done here instead, where other threads of the parent cannot interfere.

In this order, each part only when asked for: change the user, keep the one capability without
which that user cannot reach the folders (capabilities(7), "ambient"), have the kernel signal this
process when the parent dies (prctl(2), PR_SET_PDEATHSIG; a change of user clears it), exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

REFUSED = 77  # EX_NOPERM of sysexits.h

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


def command(
    program: Sequence[str],
    *,
    death_signal: int | None = None,
    user: tuple[int, int] | None = None,
    reach: Sequence[str] = (),
) -> list[str]:
    """The command line that runs `program` through this launcher.

    `death_signal` is sent to the program when the calling thread's process dies (Linux). `user` is
    the (uid, gid) to become, which takes root; `reach` are the paths that user must get to.
    """
    specification = {
        "parent": os.getpid(),
        "death_signal": death_signal,
        "user": user,
        "reach": list(reach),
    }
    return [sys.executable, "-I", "-S", __file__, json.dumps(specification), *program]


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """The low or the high 32 capabilities."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _system_call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _prctl(*arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[1:5]]
    _system_call("prctl", arguments[0], *padded)


def _permitted() -> int:
    sets = (_Sets * 2)()
    _system_call("capget", ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets)
    return int(sets[0].permitted)


def _hold(effective: int, permitted: int, inheritable: int) -> None:
    sets = (_Sets * 2)(_Sets(effective, permitted, inheritable), _Sets(0, 0, 0))
    _system_call("capset", ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets)


def obstacle(program: str, paths: Sequence[str], *, override: bool = False) -> str | None:
    """What of the program and these paths this process cannot reach, None when it reaches all.

    `override` says that any execute bit is good enough (CAP_DAC_OVERRIDE). Real system calls are
    tried, not access(2), which disregards the capabilities of ordinary users.
    """
    try:
        if not os.stat(program).st_mode & (0o111 if override else 0o001):  # noqa: PTH116
            return program
    except OSError:
        return program
    for path in paths:
        try:
            if os.path.isdir(path):  # noqa: PTH112 (importing pathlib would double the start)
                os.listdir(path)  # noqa: PTH208
            else:
                os.close(os.open(path, os.O_RDONLY))
        except OSError:
            return path
    return None


def _become(uid: int, gid: int, program: str, reach: Sequence[str]) -> None:
    os.setgroups([gid])
    os.setgid(gid)
    if sys.platform != "linux":
        os.setuid(uid)
        _require(obstacle(program, reach))
        return
    _prctl(PR_SET_KEEPCAPS, 1)
    os.setuid(uid)
    held = _permitted() & (1 << CAP_DAC_READ_SEARCH | 1 << CAP_DAC_OVERRIDE)
    _hold(0, held, 0)
    blocked = obstacle(program, reach)
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if blocked is None or not held & 1 << capability:
            continue
        _hold(1 << capability, held, 0)
        if obstacle(program, reach, override=capability == CAP_DAC_OVERRIDE) is not None:
            continue
        with contextlib.suppress(OSError):  # a container may forbid ambient capabilities
            # The permitted set stays as it will be after exec: were it to grow there, the kernel
            # would take the program for a privileged one and forget its death signal.
            _hold(1 << capability, 1 << capability, 1 << capability)
            _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)
            return
    _hold(0, 0, 0)
    _require(blocked)


def _require(blocked: str | None) -> None:
    if blocked is not None:
        refuse(
            f"user id {os.getuid()} cannot reach {blocked}, and this root may not lend it the "
            "right to; choose a data folder whose parents everybody may enter (--data-dir), or "
            "start Kinsight as an ordinary user"
        )


def refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"launch: {reason}\n")
    sys.exit(REFUSED)


def main() -> NoReturn:
    specification = json.loads(sys.argv[1])
    program = sys.argv[2:]
    try:
        if specification["user"] is not None:
            uid, gid = specification["user"]
            _become(uid, gid, program[0], specification["reach"])
        if specification["death_signal"] is not None and sys.platform == "linux":
            _prctl(PR_SET_PDEATHSIG, specification["death_signal"])
            if os.getppid() != specification["parent"]:
                sys.exit(0)  # the parent died before the kernel was told
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        refuse(f"{program[0]} cannot be started: {error}")


if __name__ == "__main__":
    main()
