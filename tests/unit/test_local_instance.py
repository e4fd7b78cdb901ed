"""What the embedded run refuses before it starts anything, and what it tells the services."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinsight.errors import StartFailed
from kinsight.local.instance import UpOptions, running
from kinsight.local.services import GATEWAY, URL_VARIABLES, programs, reachable

PORTS = {name: 8000 + offset for offset, name in enumerate(URL_VARIABLES)}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_other_machines_need_a_key(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINSIGHT_API_KEYS", " , ")
    with pytest.raises(StartFailed, match="KINSIGHT_API_KEYS"):
        async with running(UpOptions(data_dir=tmp_path / "data", host=host, port=0)):
            pass
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_address_to_reach_a_host(host: str, expected: str) -> None:
    assert reachable(host) == expected


def test_every_service_gets_the_addresses_of_all_and_only_the_gateway_the_host() -> None:
    made = programs(
        PORTS,
        gateway_host="0.0.0.0",
        data_dir=Path("/data"),
        database_url="postgresql://kinsight@/kinsight",
        store_url="file:///data/store",
        environment={"KINSIGHT_API_KEYS": "secret", "KINSIGHT_STORE_URL": "file:///elsewhere"},
    )
    assert PORTS == {
        "gateway": 8000,
        "feature-extractor": 8001,
        "indexer": 8002,
        "trainer": 8003,
        "admin": 8004,
    }
    for name, program in made.items():
        assert program.environment["KINSIGHT_EXTRACTOR_URL"] == "http://127.0.0.1:8001"
        assert program.environment["KINSIGHT_GATEWAY_URL"] == "http://127.0.0.1:8000"
        assert program.environment["KINSIGHT_STORE_URL"] == "file:///data/store"
        assert program.environment["KINSIGHT_API_KEYS"] == "secret"
        host = program.command[program.command.index("--host") + 1]
        assert host == ("0.0.0.0" if name == GATEWAY else "127.0.0.1")
        assert program.ready_url == f"http://127.0.0.1:{PORTS[name]}/readyz"
