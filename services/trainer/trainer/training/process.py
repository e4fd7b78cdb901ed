"""`python -m trainer.training.process SPEC.json`: trains one model, from pictures to the card.

Standard output carries JSON lines only, see `trainer.training.events`; the log goes to standard
error.
Exit code 0 when the model is stored, 1 when it said `failed`, 143 when ended by SIGTERM.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from kinsight.errors import KinsightError, Unavailable, Unprocessable
from trainer.training import lifeline
from trainer.training.allocation import keep_freed_memory
from trainer.training.events import Reporter
from trainer.training.full_disk import is_full
from trainer.training.place import Place, place
from trainer.training.spec import read_spec

_SECONDS_FOR_THE_CAUSE = 5.0
_SECONDS_FOR_THE_FIRST = 60.0
_log = logging.getLogger("trainer.training.process")


def main(arguments: list[str]) -> int:
    """The exit code."""
    events, own = _claim_stdout(), place()
    level = logging.INFO if own.rank == 0 else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(message)s")
    lifeline.hold(certain=own.size > 1)
    # Read when torch loads. By default its threads spin while they wait for each other, which on
    # cores shared with other processes makes a step up to five times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    # The first of several processes speaks for all of them while all goes well.
    reporter = Reporter(events if own.rank == 0 else _nobody())
    reporter.start()
    try:
        (file,) = arguments
        spec = read_spec(Path(file))
        # torch takes seconds to load; the process can be heard and stopped already.
        from trainer.training.pipeline import carry_out

        card = carry_out(spec, reporter)
    # Whoever follows the job must hear of the end, whatever it was.
    except Exception as error:  # noqa: BLE001
        if own.size > 1:
            _let_the_cause_be_told(own, error)
        problem = as_problem(error)
        _log.error("%s: %s", problem.title, problem.detail, exc_info=_unforeseen(error))
        (reporter if own.rank == 0 else Reporter(events)).failed(problem)
        return 1
    if card is not None:
        reporter.done(card)
    return 0


def as_problem(error: Exception) -> KinsightError:
    """What to tell of an error, whether it was foreseen or not."""
    if isinstance(error, KinsightError):
        return error
    # torch's own class is not imported where torch failed to load.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Unprocessable(
            "Training needs more memory than there is; choose a smaller batch_size, a smaller "
            "network or a smaller input."
        )
    if is_full(error):
        # It passes: the job is tried again from its checkpoint.
        return Unavailable(f"The trainer's disk is full ({error}); make room.")
    return KinsightError(f"Training stopped on {type(error).__name__}: {error}")


def _let_the_cause_be_told(own: Place, error: Exception) -> None:
    """Waits where the error may be the echo of another process's end, or be everybody's.

    torchrun ends this process meanwhile if another one has died, and then the job goes on from its
    checkpoint; if the first has the same to tell, it says so and more.
    """
    foreseen = isinstance(error, KinsightError)
    if own.rank != 0:
        time.sleep(_SECONDS_FOR_THE_FIRST if foreseen else _SECONDS_FOR_THE_CAUSE)
    elif not foreseen:
        time.sleep(_SECONDS_FOR_THE_CAUSE)


def _unforeseen(error: Exception) -> Exception | None:
    return None if isinstance(error, KinsightError) else error


def _nobody() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _claim_stdout() -> TextIO:
    """Standard output for the events alone; whatever else is printed goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if place().size > 1:
        # The threads of the process group outlive the interpreter's end at times, and abort it:
        # a finished training would be taken for one that was killed.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
