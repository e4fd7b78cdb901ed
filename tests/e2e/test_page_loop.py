"""From nothing to a live model through the page alone, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.accessibility import grave_issues
from e2e.browser import Browser, chromium
from e2e.conftest import NETWORK, RECIPE
from e2e.system import System
from kinsight.clients import Kinsight
from kinsight.local.sample import sample_images, sample_zip

pytestmark = pytest.mark.slow

LIBRARY = "by-hand"


@pytest.fixture(scope="module")
def browser(system: System) -> Iterator[Browser]:
    with chromium(system.url) as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def _afterwards(client: Kinsight) -> Iterator[None]:
    """The system is shared with other tests."""
    yield
    if any(library.name == LIBRARY for library in client.libraries()):
        client.delete_library(LIBRARY)
    for model in client.models(LIBRARY):
        client.delete_model(model.id)


def _json(options: tuple[str, ...]) -> str:
    return "{" + ", ".join('"{}": {}'.format(*option.split("=")) for option in options) + "}"


def _train(browser: Browser, seed: int, then: str) -> None:
    """Follows the steps to the model's card."""
    browser.open(f"train?library={LIBRARY}")
    browser.choose("network", "alexnet")
    browser.choose("recipe", "fine-tune")
    browser.select("weights", "none")
    browser.wait_text("10 of 10 classes have fewer than 100 pictures")
    browser.write("min_images_per_class", "20")
    browser.wait_text("All 10 classes have at least 20 pictures")
    browser.select("then", then)
    browser.unfold()
    browser.write("network_options", "[]")
    browser.press("Start training")
    browser.wait_text("Write a JSON object")
    browser.write("network_options", _json(NETWORK))
    # Long enough to be seen at work on a machine that has nothing else to do.
    browser.write("recipe_options", _json(("epochs=20", *RECIPE[1:])))
    browser.write("seed", str(seed))
    browser.write("trained_by", "<i>a curator</i>")
    browser.press("Start training")
    browser.wait_text(f"Training on {LIBRARY}")
    browser.wait_text("iterations/s", 90)
    run = browser.driver.current_url.partition("job=")[2]
    browser.driver.refresh()  # the same run is shown
    browser.wait_text("The model", 120)
    browser.wait_text("<i>a curator</i>")
    assert len(browser.all("svg.chart path.line")) == 3
    assert browser.driver.current_url.endswith(f"job={run}")


def test_from_an_empty_library_to_a_rollback(
    browser: Browser, client: Kinsight, tmp_path: Path
) -> None:
    browser.open("libraries")
    browser.write("name", "Not Allowed!")
    browser.press("Make library")
    assert "library=" not in browser.driver.current_url
    browser.write("name", LIBRARY)
    browser.press("Make library")
    browser.wait_text("Drop a folder, a zip or pictures here")

    # a zip, with a file that is none
    archive = sample_zip(tmp_path / "digits.zip", part="test")
    browser.drop(archive, "application/zip")
    browser.wait_text("300 files · 300 stored", 60)
    folder = tmp_path / "more" / "7"
    folder.mkdir(parents=True)
    (folder / "<u>broken</u>.png".replace("/", "_")).write_bytes(b"no picture")
    (folder / "again.png").write_bytes(sample_images("test")[0].data)
    browser.one("#folder").send_keys(str(tmp_path / "more"))
    browser.wait_text("2 files · 1 already there · 1 rejected", 60)
    browser.unfold()
    browser.wait_text("<u>broken<_u>.png")
    browser.press("Send the rejected again")
    browser.wait_text("1 file · 1 rejected", 60)
    assert client.library(LIBRARY).images == 300

    browser.press("Set floor")
    browser.write("floor", "0.05", "dialog")
    browser.press("Save", "dialog")
    browser.wait_text("P@10 0.05")
    assert client.library(LIBRARY).floor == 0.05

    # many labels at once
    browser.open(f"libraries?library={LIBRARY}&label=7")
    browser.until(lambda: len(browser.all(".grid li")) == 30)
    for box in browser.all(".pick input")[:3]:
        box.click()
    browser.write("new-label", "7")
    browser.press("Set label")
    browser.until(lambda: not browser.all(".pick input:checked"))
    assert client.library(LIBRARY).labels["7"] == 30

    _train(browser, 0, "promote")
    first = client.library(LIBRARY).model
    assert first is not None
    browser.wait_text("Live:")
    _train(browser, 1, "nothing")
    models = [model.id for model in client.models(LIBRARY)]
    (second,) = set(models) - {first}
    assert client.library(LIBRARY).model == first

    browser.open(f"models?library={LIBRARY}")
    for model in (first, second):
        browser.click(f"tr[data-model='{model}'] input")
    browser.wait_text("Side by side")
    assert grave_issues(browser) == []
    browser.press("Promote", f"tr[data-model='{second}']")
    browser.click("dialog input[name='override']")
    browser.write("reason", "to see it", "dialog")
    browser.press("Promote", "dialog")
    browser.until(lambda: client.library(LIBRARY).model == second, 60)
    browser.until(lambda: "live" in browser.one(f"tr[data-model='{second}']").text)
    browser.click("dialog .close")
    browser.press("Roll back", f"tr[data-model='{second}']")
    browser.write("reason", "it was better <u>before</u>", "dialog")
    browser.press("Roll back", "dialog")
    browser.until(lambda: client.library(LIBRARY).model == first)
    browser.wait_text("rolled-back")
    browser.wait_text("it was better <u>before</u>")

    browser.open("operations")
    browser.select("library", LIBRARY)
    browser.press("Clear", "[aria-label='Clear and rebuild']")
    browser.press("Clear", "dialog")
    browser.wait_text(f"300 rows were removed from {LIBRARY}")
    assert client.library(LIBRARY).indexed == 0
    browser.press("Rebuild", "[aria-label='Clear and rebuild']")
    browser.wait_text(f"300 pictures of {LIBRARY} are searchable", 60)
    assert not browser.complaints()


def test_operations_shows_promises_checks_and_jobs(browser: Browser, client: Kinsight) -> None:
    browser.open("operations")
    browser.wait_text("uptime")
    browser.wait_text("Everything works.", 30)
    sla = client.sla()
    text = browser.text()
    for requirement in sla.requirements:
        assert requirement.name in text
