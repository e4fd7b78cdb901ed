"""`kinsight reproduce`: tables and figures of the source papers, made again on this machine.

The work is the trainer's: this starts `python -m trainer.reproduce` and hands through what it
says, so that the command line itself needs neither the trainer nor torch.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from kinsight.cli.options import Global, Json
from kinsight.cli.output import note
from kinsight.cli.session import reporting
from kinsight.errors import StartFailed

_STOPPED = 130  # what a shell reports for a process that Ctrl-C ended
_STOP_SECONDS = 30.0


def reproduce(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="What to reproduce; --list names all.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A data set: a folder or an archive of class folders, an .npz file, or a folder "
            "that holds one of the usual name (mnist*, cifar10*, cifar100*).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the report goes; a second call goes on there."),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(help="smoke: seconds; small: up to an hour on two cores; full: a GPU."),
    ] = "small",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A pretrained AlexNet to start from.")
    ] = None,
    pretraining_data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The larger data set that alexnet-table-2 pretrains on."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Name what can be reproduced, one a line.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a table or a figure of the source papers again, and report it beside the paper's."""
    before: Global = context.obj or Global()
    given = {
        "--data": data,
        "--out": out,
        "--scale": scale,
        "--seed": seed,
        "--device": device,
        "--weights": weights,
        "--pretraining-data": pretraining_data,
    }
    words = [name] if name is not None else []
    words += [str(word) for pair in given.items() if pair[1] is not None for word in pair]
    words += ["--list"] * listing + ["--json"] * (json or before.json)
    with reporting(json or before.json):
        _check_installed()
        code = _run(words)
    raise typer.Exit(code)


def _check_installed() -> None:
    missing = [name for name in ("trainer", "torch", "matplotlib") if not _is_there(name)]
    if missing:
        raise StartFailed(
            f"Reproductions need the trainer, and {' and '.join(missing)} cannot be found: install "
            "it with `pip install 'kinsight[trainer]'`."
        )


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run(words: list[str]) -> int:
    """The exit code of the process, which cannot outlive this one."""
    # What starts processes is not for `kinsight --help`.
    from kinsight.local.launch import command

    program = [sys.executable, "-m", "trainer.reproduce", *words]
    process = subprocess.Popen(
        command(program, death_signal=signal.SIGTERM),
        stdin=subprocess.DEVNULL,
        # Ctrl-C is for this process to pass on, once.
        start_new_session=True,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        return _stop(process)
    return code if code >= 0 else 128 - code


def _stop(process: subprocess.Popen[bytes]) -> int:
    """Lets it end in order; a second Ctrl-C, or half a minute, ends it and all it has started."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        note("Ending it at once; the same command goes on where it stopped.")
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return _STOPPED


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
