"""`python -m trainer.training.torchrun PROCESSES SPEC.json`: one training by several processes.

torchrun starts them and ends all of them when one dies. What it adds here: the processes end with
this one, however it ends, and its exit code tells a process that was killed (128 + the signal)
from one that failed (1), as the training can go on from its checkpoint after the first.
"""

from __future__ import annotations

import os
import sys

from trainer.training import lifeline


def main(arguments: list[str]) -> int:
    """The exit code."""
    lifeline.hold()
    # The processes talk to each other on this machine only; without this the name of the machine
    # would have to resolve.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    # Else torchrun sets it to 1 and warns of it; `devices.choose` divides the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    processes, specification = arguments
    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", processes]
    try:
        torchrun([*options, "--module", "trainer.training.process", specification])
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return 128 - failure.exitcode if failure.exitcode < 0 else failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
