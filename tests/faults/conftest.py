"""A real, whole Kinsight for tests that kill its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kinsight.local.instance import Instance, UpOptions, running


@pytest.fixture(scope="module")
async def instance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    options = UpOptions(
        data_dir=tmp_path_factory.mktemp("faults"),
        port=0,
        environment={"KINSIGHT_JOB_LEASE_SECONDS": "2"},  # a killed worker's job is free sooner
    )
    async with running(options) as started:
        yield started
