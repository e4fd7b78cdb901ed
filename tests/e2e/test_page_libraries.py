"""Keeping a library through the page: retries, many labels at once, deletion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.browser import Browser, chromium
from e2e.system import System
from kinsight.clients import Kinsight
from kinsight.local.sample import sample_images, sample_zip

pytestmark = pytest.mark.slow

LIBRARY = "kept"
NAME = "<u>broken</u>.png".replace("/", "\u2215")


@pytest.fixture
def browser(system: System, client: Kinsight) -> Iterator[Browser]:
    client.create_library(LIBRARY)
    with chromium(system.url) as started:
        yield started
    if any(library.name == LIBRARY for library in client.libraries()):
        client.delete_library(LIBRARY)


def test_the_rejected_are_sent_again_after_a_reload(
    browser: Browser, client: Kinsight, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    good = sample_images("test")
    for label in ("7", "8"):
        (folder / label).mkdir(parents=True)
        (folder / label / NAME).write_bytes(b"no picture")
    (folder / "7" / "whole.png").write_bytes(good[0].data)
    browser.open(f"libraries?library={LIBRARY}")
    browser.one("#folder").send_keys(str(folder))
    browser.wait_text("3 files · 1 stored (searchable once a model is live) · 2 rejected", 60)

    for number, label in enumerate(("7", "8"), 1):
        (folder / label / NAME).write_bytes(good[number].data)
    browser.driver.refresh()
    browser.wait_text("2 rejected")
    browser.unfold()
    browser.wait_text(NAME)
    browser.press("Send the rejected again")
    # by its name alone it could be either, and the folder is its label
    browser.one("#again-files").send_keys(str(folder / "7" / NAME))
    browser.wait_text("No file chosen has the name of a rejected one.")
    browser.one("#again-folder").send_keys(str(folder))
    browser.wait_text("2 files · 2 stored", 60)
    assert client.library(LIBRARY).labels == {"7": 2, "8": 1}
    assert not browser.complaints()


def test_sending_goes_on_behind_other_screens(
    browser: Browser, client: Kinsight, tmp_path: Path
) -> None:
    archive = sample_zip(tmp_path / "digits.zip", part="test")
    browser.open(f"libraries?library={LIBRARY}")
    browser.one("#drop-pictures")
    browser.connection(upload_bytes_per_second=archive.stat().st_size // 4)
    browser.drop(archive, "application/zip")
    browser.wait_text("Sending 1 file: ")
    browser.press("Models", "nav")
    browser.until(lambda: browser.driver.title == "Models · Kinsight")
    browser.driver.back()
    browser.wait_text("Sending 1 file: ")
    browser.press("Models", "nav")
    browser.until(lambda: client.library(LIBRARY).images == 300, 60)
    browser.driver.back()
    browser.wait_text("300 files · 300 stored", 60)
    assert browser.text().count("300 files") == 1
    assert not browser.complaints()


def test_all_are_labelled_and_a_library_is_deleted(
    browser: Browser, client: Kinsight, tmp_path: Path
) -> None:
    archive = sample_zip(tmp_path / "digits.zip", part="test")
    client.wait(client.index_batch(LIBRARY, [archive]).id, timeout=60)
    browser.open(f"libraries?library={LIBRARY}")
    browser.until(lambda: len(browser.all(".grid li")) == 60)  # of 300
    browser.press("Choose all")
    browser.wait_text("300 chosen")
    corrected = "<b>all & sundry</b>"
    browser.write("new-label", corrected)
    browser.press("Set label")
    browser.until(lambda: client.library(LIBRARY).labels == {corrected: 300}, 60)
    browser.wait_text(f"{corrected} (300)")

    browser.until(lambda: len(browser.all(".pick input")) == 60)
    for box in browser.all(".pick input")[:2]:
        box.click()
    browser.press("Delete", ".many")
    browser.press("Delete", "dialog")
    browser.until(lambda: client.library(LIBRARY).images == 298)
    browser.wait_text("298")

    browser.press("Delete library")
    browser.press("Cancel", "dialog")
    assert client.library(LIBRARY).images == 298
    browser.press("Delete library")
    browser.press("Delete", "dialog")
    browser.until(lambda: "library=" not in browser.driver.current_url)
    assert LIBRARY not in [library.name for library in client.libraries()]
    assert not browser.complaints()
