"""Ports for the services of one instance."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Sequence

from kinsight.errors import StartFailed

# Below the range from which systems take the ports of outgoing connections: a service that is
# restarted must find its port free again.
_SEARCHED = range(20_000, 30_000)
_LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    return _obstacle(port, host) is None


def consecutive_ports(first: int, count: int, *, host: str = _LOOPBACK) -> list[int]:
    """`first` and the ports after it; StartFailed names one that is taken or not allowed.

    `host` is where the first one will listen; the others listen on loopback.
    """
    ports = list(range(first, first + count))
    if first < 1 or ports[-1] > 65_535:
        raise StartFailed(
            f"{first} leaves no room for {count} ports; choose --port between 1 and "
            f"{65_536 - count}, or 0 for any free ones."
        )
    for port in ports:
        reason = _obstacle(port, host if port == first else _LOOPBACK)
        if reason is not None:
            raise StartFailed(
                f"Port {port} cannot be used ({reason}). Kinsight needs ports {ports[0]} to "
                f"{ports[-1]}: stop the program that has it, or choose others with --port (0 for "
                "any free ones)."
            )
    return ports


def free_ports(
    count: int, *, host: str = _LOOPBACK, candidates: Sequence[int] = _SEARCHED
) -> list[int]:
    """So many different ports that are free now, drawn at random so that instances seldom meet."""
    found: list[int] = []
    for port in random.SystemRandom().sample(candidates, len(candidates)):
        if is_free(port, host) and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StartFailed(f"Fewer than {count} ports are free here; choose one with --port.")


def _obstacle(port: int, host: str) -> str | None:
    """Why a server cannot listen there, in the system's words."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise StartFailed(
            f"{host} is not an address of this machine ({error.strerror}); choose another --host."
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections of an earlier one that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise StartFailed(
                    f"{host} is not an address of this machine; choose another --host."
                ) from None
            return (error.strerror or str(error)).lower()
    return None
