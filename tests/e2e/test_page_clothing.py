"""Photographs through the page: a folder, own weights, recipe `head`, a search, a correction."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains

from e2e.browser import Browser, chromium
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

LIBRARY = "wardrobe"
CLASSES = ("hat", "pants", "shoes")
PER_CLASS = 40


@pytest.fixture
def browser(system: System, client: Kinsight) -> Iterator[Browser]:
    with chromium(system.url) as started:
        yield started
    if any(library.name == LIBRARY for library in client.libraries()):
        client.delete_library(LIBRARY)
    for model in client.models(LIBRARY):
        client.delete_model(model.id)


@pytest.fixture
def clothing(test_data: Path, tmp_path: Path) -> Path:
    """`pictures` to learn from, a folder per class, and one unseen picture per class beside it."""
    with zipfile.ZipFile(test_data / "clothing.zip") as archive:
        for label in CLASSES:
            names = [n for n in archive.namelist() if n.startswith(f"train/{label}/")]
            names = [n for n in names if not n.endswith("/")]
            folder = tmp_path / "pictures" / label
            folder.mkdir(parents=True)
            for name in names[:PER_CLASS]:
                (folder / Path(name).name).write_bytes(archive.read(name))
            (tmp_path / f"{label}.jpg").write_bytes(archive.read(names[PER_CLASS]))
    return tmp_path


def _hits(browser: Browser) -> list[str | None]:
    return [card.get_attribute("title") for card in browser.all(".card")]


def test_photographs_are_learned_and_found(
    browser: Browser, client: Kinsight, clothing: Path, test_data: Path
) -> None:
    browser.open("libraries")
    browser.write("name", LIBRARY)
    browser.press("Make library")
    browser.one("#folder").send_keys(str(clothing / "pictures"))
    browser.wait_text(f"{len(CLASSES) * PER_CLASS} files · ", 60)
    assert client.library(LIBRARY).labels == dict.fromkeys(CLASSES, PER_CLASS)

    browser.press("Train", "main")
    browser.wait_text("3 of 3 classes have fewer than 100 pictures")
    browser.write("min_images_per_class", "40")
    browser.select("weights", "file")
    browser.press("Start training")
    browser.wait_text("Choose a weights file")
    weights = test_data / "weights" / "mobilenet_v2.safetensors"
    browser.one("[name='weights_file']").send_keys(str(weights))
    browser.press("Start training")
    browser.wait_text("The model", 180)
    browser.wait_text("Live:")
    browser.press("Search with it")

    browser.drop(clothing / "shoes.jpg", "image/jpeg")
    browser.until(lambda: len(browser.all(".card")) == 24)
    assert browser.one(".bars li .name").text == "shoes"
    assert [label.text for label in browser.all(".card .label")][:10] == ["shoes"] * 10

    # a crop, drawn by hand
    whole = _hits(browser)
    stage = browser.one(".stage")
    drawing = ActionChains(browser.driver)
    drawing.move_to_element_with_offset(stage, -40, -40).click_and_hold()
    drawing.move_by_offset(60, 50).release().perform()
    browser.until(lambda: "crop=" in browser.driver.current_url)
    browser.until(lambda: _hits(browser) != whole and not browser.all(".results[aria-busy]"))

    # the nearest is another kind of thing, after all
    browser.all(".card")[0].click()
    browser.write("label", "slippers", "dialog")
    browser.press("Save label", "dialog")
    browser.until(lambda: browser.all(".card .label")[0].text == "slippers")
    assert client.library(LIBRARY).labels["slippers"] == 1
    assert not browser.complaints()
