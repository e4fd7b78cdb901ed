"""Ports of the embedded run."""

from __future__ import annotations

import socket

import pytest

from kinsight.errors import StartFailed
from kinsight.local.ports import consecutive_ports, free_ports, is_free


def listen() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", free_ports(1)[0]))
    server.listen()
    return server


def test_free_ports_are_different_and_can_be_listened_on() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    servers = [socket.create_server(("127.0.0.1", port)) for port in ports]
    for server in servers:
        server.close()


def test_a_port_in_use_is_not_free() -> None:
    with listen() as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(StartFailed, match=r"--port"):
            free_ports(1, candidates=[port])
    assert is_free(port)


def test_consecutive_ports_name_the_one_that_is_taken() -> None:
    with listen() as server:
        taken = server.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"Port {taken} cannot be used .*--port"):
            consecutive_ports(taken - 2, 5)


def test_consecutive_ports_start_at_the_one_asked_for() -> None:
    first = next(p for p in range(31_000, 32_000) if all(is_free(p + i) for i in range(5)))
    assert consecutive_ports(first, 5) == [first + i for i in range(5)]


@pytest.mark.parametrize("first", [-1, 0, 65_532, 70_000])
def test_ports_out_of_range_are_refused(first: int) -> None:
    with pytest.raises(StartFailed, match="no room for 5 ports"):
        consecutive_ports(first, 5)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartFailed, match="not an address of this machine"):
        is_free(20_000, "192.0.2.1")  # reserved for documentation (RFC 5737)
