"""One reproduction from the command line to its report.

Progress goes to standard error; with `--json` the report goes to standard output as one document.
Exit code 0 when the report is written, 1 when it cannot be made, 2 on wrong usage, 130 when
stopped; the same command then goes on where it stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from kinsight.cli.output import Output, note, refuse, seconds
from kinsight.errors import AlreadyRunning, BadRequest, Conflict, KinsightError
from kinsight.local.lock import FolderLock
from trainer.reproduce import REPRODUCTIONS, SCALES, Reproduction
from trainer.reproduce.bench import Bench, Order
from trainer.reproduce.markdown import markdown
from trainer.reproduce.report import Facts, versions, write

_STOPPED = 130  # what a shell reports for a process that Ctrl-C ended
_LARGEST_SEED = 2**31 - 1


def main(arguments: list[str]) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.list:
        _list(Output(parsed.json))
        return 0
    missing = [name for name in ("name", "data", "out") if getattr(parsed, name) is None]
    if missing:
        wanted = "NAME (--list shows them)" if missing[0] == "name" else f"--{missing[0]} DIR"
        parser.error(f"missing: {wanted}")
    # Read when torch loads. By default its threads spin while they wait for each other, which on
    # cores shared with other processes makes a step up to five times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return _reproduce(REPRODUCTIONS[parsed.name], parsed)
    except KinsightError as error:
        refuse(error, parsed.json)
    except OSError as error:
        if error.filename is None:
            raise
        refuse(BadRequest(f"{error.filename}: {error.strerror}."), parsed.json)
    except KeyboardInterrupt:
        note("Stopped; the same command goes on where it stopped.")
        return _STOPPED
    return 1


def _reproduce(reproduction: Reproduction, parsed: argparse.Namespace) -> int:
    order = Order(
        data=parsed.data,
        out=parsed.out,
        scale=parsed.scale,
        seed=parsed.seed,
        weights=parsed.weights,
        pretraining_data=parsed.pretraining_data,
    )
    if order.weights is not None and not order.weights.is_file():
        raise BadRequest(f"There is no file {order.weights}; --weights takes a state dict.")
    _check_options(order, reproduction)
    _check_out(order.out, reproduction.name)
    begun, started_at = time.monotonic(), datetime.now(UTC)
    bench = Bench(order, reproduction.data, note)
    bench.work.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(bench.work / "reproduce.lock")
    try:
        lock.acquire()
    except AlreadyRunning as error:
        raise Conflict(f"Another reproduction is at work in {order.out}.") from error
    try:
        device, machine = _device(parsed.device)
        note(f"{reproduction.name} ({reproduction.shows}) at scale {order.scale} on {device}")
        report = reproduction.run(bench)
        facts = Facts(
            name=reproduction.name,
            title=reproduction.shows,
            place=reproduction.place,
            paper=reproduction.paper,
            command=_command(reproduction.name, order, parsed.device),
            scale=order.scale,
            seed=order.seed,
            device=device,
            machine=machine,
            started_at=started_at,
            seconds=time.monotonic() - begun,
            data=bench.told,
            models=bench.models,
            versions=versions(),
        )
        text = markdown(report, facts)
        document = write(order.out, report, facts, text)
        bench.tidy()
    finally:
        lock.release()
    if parsed.json:
        Output(True).document(document)
    else:
        Output(False).line(text)
    note(f"Written to {order.out / 'report.md'} in {seconds(facts.seconds)}")
    return 0


def _device(asked: str) -> tuple[str, str]:
    """The device that is used, by name, and the machine; raises BadRequest without the one asked.

    Decided before torch looks for devices, so that no part of a run takes another.
    """
    if asked == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from trainer.training import devices  # torch takes seconds to load

    device = devices.choose()
    if asked == "cuda" and device.torch.type != "cuda":
        raise BadRequest("This machine has no CUDA device that torch can use; leave out --device.")
    return device.name, device.machine


def _check_options(order: Order, reproduction: Reproduction) -> None:
    """Raises BadRequest for an option that would be left aside in silence."""
    for name in ("weights", "pretraining_data"):
        if getattr(order, name) is not None and name not in reproduction.takes:
            option = f"--{name.replace('_', '-')}"
            raise BadRequest(f"{reproduction.name} has no use for {option}; leave it out.")


def _check_out(out: Path, name: str) -> None:
    """Raises BadRequest where the folder holds something else that would be overwritten."""
    if out.exists() and not out.is_dir():
        raise BadRequest(f"{out} is a file; --out takes a folder for the report.")
    report = out / "report.md"
    if report.exists() and not report.read_text(encoding="utf-8").startswith(f"# {name}:"):
        raise BadRequest(f"{out} holds another report; choose another folder for {name}.")


def _command(name: str, order: Order, device: str) -> str:
    words = ["kinsight", "reproduce", name, "--data", str(order.data), "--out", str(order.out)]
    words += ["--scale", order.scale, "--seed", str(order.seed)]
    words += ["--device", device] if device != "auto" else []
    if order.weights is not None:
        words += ["--weights", str(order.weights)]
    if order.pretraining_data is not None:
        words += ["--pretraining-data", str(order.pretraining_data)]
    return shlex.join(words)


def _list(out: Output) -> None:
    if out.json:
        out.document(
            {
                "reproductions": [
                    {
                        "name": name,
                        "paper": one.paper,
                        "place": one.place,
                        "shows": one.shows,
                        "data": one.data.description,
                    }
                    for name, one in REPRODUCTIONS.items()
                ]
            }
        )
        return
    width = max(map(len, REPRODUCTIONS))
    for name, one in REPRODUCTIONS.items():
        out.line(f"{name:{width}}   {one.shows} ({one.data.description})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kinsight reproduce",
        description="Make a table or a figure of the source papers again, and report it.",
    )
    parser.add_argument("name", nargs="?", choices=REPRODUCTIONS, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name what can be reproduced")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a data set, or a folder of some")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the report goes")
    scales = "; ".join(f"{name}: {words}" for name, words in SCALES.items())
    parser.add_argument("--scale", choices=SCALES, default="small", help=scales)
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="pretrained AlexNet")
    parser.add_argument(
        "--pretraining-data", type=Path, metavar="DIR", help="what alexnet-table-2 pretrains on"
    )
    parser.add_argument("--json", action="store_true", help="print report.json")
    return parser


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {_LARGEST_SEED}")
    return number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
