"""A training run is watched through a lost connection, a killed gateway and a reload."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import psutil
import pytest

from e2e.browser import Browser, chromium
from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job, JobState

pytestmark = pytest.mark.slow

LOST = "The connection is lost."


@pytest.fixture
def run(client: Kinsight, digits: Digits) -> Iterator[Job]:
    """Long enough to be looked at; nothing waits for its end."""
    job = client.train(
        "digits",
        network_options={"input_size": 32, "width": 0.125, "fc_width": 64, "towers": 1},
        recipe_options={"epochs": 1000, "batch_size": 16},
        min_images_per_class=20,
        then="nothing",
    )
    yield job
    if not client.job(job.id).state.ended:
        client.cancel(job.id)
        client.wait(job.id, timeout=60)


def _iteration(browser: Browser) -> int:
    shown = re.search(r"Iteration\s+([\d,]+) of", browser.text())
    return int(shown[1].replace(",", "")) if shown else 0


def _goes_on(browser: Browser, seconds: float = 30) -> None:
    before = _iteration(browser)
    browser.until(lambda: _iteration(browser) > before and LOST not in browser.text(), seconds)


def _gateways(system: System) -> set[int]:
    running = [one for one in system.children() if one.status() != psutil.STATUS_ZOMBIE]
    return {one.pid for one in running if "gateway" in one.cmdline()}


def test_the_live_view_comes_back(system: System, client: Kinsight, run: Job) -> None:
    with chromium(system.url) as browser:
        browser.open(f"train?job={run.id}")
        browser.until(lambda: _iteration(browser) > 0, 90)
        _goes_on(browser)

        browser.connection(offline=True)
        browser.wait_text(LOST, 30)
        browser.connection()
        browser.until(lambda: LOST not in browser.text(), 30)
        _goes_on(browser)

        (killed,) = _gateways(system)
        os.kill(killed, signal.SIGKILL)
        browser.until(lambda: _gateways(system) - {killed}, 60)
        _goes_on(browser, 60)

        seen = _iteration(browser)
        browser.driver.refresh()
        browser.until(lambda: _iteration(browser) >= seen)
        assert run.id in browser.driver.current_url
        browser.until(lambda: browser.all("svg.chart path.line"))

        browser.press("Cancel")
        browser.wait_text("cancelled", 60)
        assert client.job(run.id).state is JobState.CANCELLED
        browser.press("Train again")
        browser.wait_text("Pictures per class")
        assert not browser.complaints()


def test_a_job_that_does_not_exist_is_said(system: System) -> None:
    with chromium(system.url) as browser:
        browser.open("train?job=nowhere")
        assert "nowhere" in browser.one(".problem").text
