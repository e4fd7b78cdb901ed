"""The doctor, with the rest of the system away and with it there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import admin.app
import feature_extractor.app
import indexer.app
import trainer.app
from admin import gpu
from integration.serving import System, system
from kinsight.clients.admin import AdminClient
from kinsight.contracts.admin import DoctorCheck

OTHERS = ["gateway", "feature-extractor", "indexer", "trainer"]


@pytest.fixture
async def alone(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """The admin service, and no other."""
    async with system(database_url, tmp_path, free_bytes_wanted=1) as running:
        await running.start("admin", admin.app.create_app)
        yield running


async def examine(running: System) -> dict[str, DoctorCheck]:
    report = await AdminClient(running.client("admin")).doctor()
    assert report.ok == all(check.ok for check in report.checks)
    assert all(check.advice for check in report.checks if not check.ok)
    return {check.check: check for check in report.checks}


async def test_doctor_names_each_service_that_is_away(alone: System) -> None:
    checks = await examine(alone)
    assert {name for name, check in checks.items() if not check.ok} == {
        *OTHERS,
        "device",
        "versions",
    }
    assert "does not answer" in checks["indexer"].detail
    assert "pgvector" in checks["postgres"].detail
    assert "was heard" in checks["broker"].detail
    assert "written, read and deleted" in checks["store"].detail
    assert await alone.store.keys("uploads/") == []


async def test_doctor_finds_a_schema_that_is_not_ours(alone: System) -> None:
    await alone.pool.execute("UPDATE schema_migrations SET checksum = 'other'")
    check = (await examine(alone))["schema"]
    assert not check.ok
    await alone.pool.execute("DELETE FROM schema_migrations")
    check = (await examine(alone))["schema"]
    assert not check.ok
    assert check.advice is not None and "Restart" in check.advice


async def test_doctor_finds_a_store_that_cannot_be_written(alone: System, tmp_path: Path) -> None:
    (tmp_path / "store" / ".incoming").rmdir()
    (tmp_path / "store" / ".incoming").write_text("in the way")
    check = (await examine(alone))["store"]
    assert not check.ok


@pytest.mark.slow
async def test_doctor_of_a_whole_system(alone: System) -> None:
    await alone.start("extractor", feature_extractor.app.create_app)
    await alone.start("indexer", indexer.app.create_app)
    await alone.start("trainer", trainer.app.create_app)
    checks = await examine(alone)
    assert [name for name, check in checks.items() if not check.ok] == ["gateway"]
    assert "runs on cpu" in checks["device"].detail
    assert "torch" in checks["versions"].detail


def test_gpus_are_read_from_the_driver(tmp_path: Path) -> None:
    for bus, name in [("0000:01:00.0", "NVIDIA H200"), ("0000:02:00.0", "Tesla K20c")]:
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t {name}\nIRQ:   11\n")
    assert gpu.names_in(tmp_path) == ["NVIDIA H200", "Tesla K20c"]
    assert gpu.names_in(tmp_path / "nothing") == []


async def test_gpus_are_asked_of_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert await gpu.names_by_tool() == ["NVIDIA H200"]
    tool.write_text("#!/bin/sh\necho 'no devices'; exit 9\n")
    assert await gpu.names_by_tool() == []
