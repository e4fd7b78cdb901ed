"""The five services of the embedded run, and the settings they share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from kinsight.local.service import Program

GATEWAY = "gateway"
_SERVE = (sys.executable, "-m", "kinsight.web.serve")
# In the order of their ports, the gateway on the first; the variable tells the others its address.
URL_VARIABLES: Mapping[str, str] = {
    GATEWAY: "KINSIGHT_GATEWAY_URL",
    "feature-extractor": "KINSIGHT_EXTRACTOR_URL",
    "indexer": "KINSIGHT_INDEXER_URL",
    "trainer": "KINSIGHT_TRAINER_URL",
    "admin": "KINSIGHT_ADMIN_URL",
}


def programs(
    ports: Mapping[str, int],
    *,
    gateway_host: str,
    data_dir: Path,
    database_url: str,
    store_url: str,
    environment: Mapping[str, str],
) -> dict[str, Program]:
    """One program per service; `environment` comes on top of this process's own."""
    hosts = {name: gateway_host if name == GATEWAY else "127.0.0.1" for name in ports}
    urls = {name: f"http://{reachable(hosts[name])}:{port}" for name, port in ports.items()}
    shared = {
        **environment,
        "KINSIGHT_DATABASE_URL": database_url,
        "KINSIGHT_STORE_URL": store_url,
        "KINSIGHT_DATA_DIR": str(data_dir),
        **{URL_VARIABLES[name]: url for name, url in urls.items()},
    }
    return {
        name: Program(
            name,
            [*_SERVE, name, "--host", hosts[name], "--port", str(port)],
            shared,
            ready_url=f"{urls[name]}/readyz",
        )
        for name, port in ports.items()
    }


def reachable(host: str) -> str:
    """The address by which a server bound to `host` is reached on this machine, for a URL."""
    if host in ("", "0.0.0.0"):  # noqa: S104 (compared, not bound)
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
