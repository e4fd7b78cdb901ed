"""Hostile file names, labels, class names and people's names are text wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from e2e.browser import Browser, chromium
from e2e.conftest import NETWORK
from e2e.system import System
from kinsight.clients import Kinsight
from kinsight.local.sample import sample_images

pytestmark = pytest.mark.slow

LIBRARY = "hostile"
# no slash, which would be a folder
CLASSES = ("<img src=x onerror=document.title='owned'>", "\"><b onmouseover='x'>it's &amp; {{7*7}}")
FILE = "<script>document.title='owned'<\u2215script>"
PERSON = "<svg onload=document.title='owned'>"
MARKUP = "img[src='x'], main b, dialog b, main script, dialog script, [onload], [onerror]"


@pytest.fixture(scope="module")
def model(system: System, client: Kinsight, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Trained on the zeros and ones, under names nobody should give them."""
    folder = tmp_path_factory.mktemp("hostile")
    for image in sample_images("test"):
        if image.label in "01":
            path = folder / CLASSES[int(image.label)] / f"{FILE}{image.filename}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(image.data)
    client.create_library(LIBRARY)
    pictures = sorted(Path(folder).rglob("*.png"))
    client.wait(client.index_batch(LIBRARY, [folder]).id, timeout=60)
    assert client.library(LIBRARY).labels == dict.fromkeys(CLASSES, len(pictures) // 2)
    options = [word for option in NETWORK for word in ("--network-option", option)]
    options += ["--recipe-option", "epochs=2", "--recipe-option", "batch_size=16"]
    trained = system.run(
        *("train", LIBRARY, "--min-images-per-class", "20", "--trained-by", PERSON),
        *(*options, "--wait", "--json"),
    )
    assert trained.code == 0, trained.stderr
    live = client.library(LIBRARY).model
    assert live is not None
    return live


@pytest.fixture(scope="module", autouse=True)
def _afterwards(client: Kinsight, model: str) -> Iterator[None]:
    """The system is shared with other tests."""
    yield
    client.delete_library(LIBRARY)
    client.delete_model(model)


@pytest.fixture
def browser(system: System) -> Iterator[Browser]:
    with chromium(system.url) as started:
        yield started
        assert not started.all(MARKUP)
        assert "owned" not in started.driver.title
        assert not started.complaints()


def _shows(browser: Browser, *texts: str) -> None:
    for text in texts:
        browser.wait_text(text)
    assert not browser.all(MARKUP)


def test_in_a_search(browser: Browser, client: Kinsight, model: str) -> None:
    image = next(iter(client.images(LIBRARY)))
    browser.open(f"search?library={LIBRARY}&routing=named&k=3&image_id={image.id}")
    for name in CLASSES:
        browser.until(lambda name=name: [one for one in browser.all(".chip") if one.text == name])
    for box in browser.all(".chip input"):
        box.click()
    browser.until(lambda: len(browser.all(".card")) == 3)
    assert {one.text for one in browser.all(".bars .name")} == set(CLASSES)
    _shows(browser, ", ".join(CLASSES))
    browser.all(".card")[0].click()
    browser.until(lambda: FILE in browser.one("dialog h2").text)
    facts = browser.one("dialog .facts").text
    assert image.label in facts
    browser.press("Delete", "dialog")
    browser.until(lambda: FILE in browser.one("dialog:last-of-type p").text)
    browser.press("Cancel", "dialog:last-of-type")


def test_in_a_library(browser: Browser, client: Kinsight, model: str) -> None:
    browser.open(f"libraries?library={LIBRARY}")
    for name in ("by-label", "by-class"):
        offered = browser.until(lambda name=name: browser.one(f"[name='{name}']").text)
        assert all(one in offered for one in CLASSES)
    browser.select("by-label", CLASSES[0])
    browser.until(lambda: len(browser.all(".grid li")) == 30)
    browser.unfold()
    browser.until(lambda: FILE in browser.one("table").text)
    browser.one(".pick input").click()
    browser.one("[name='new-label']").send_keys(CLASSES[0])
    assert not browser.all(MARKUP)


def test_in_training(browser: Browser, client: Kinsight, model: str) -> None:
    browser.open(f"train?library={LIBRARY}")
    _shows(browser, *CLASSES)
    run = next(job for job in client.jobs() if job.kind == "train" and job.library == LIBRARY)
    browser.open(f"train?job={run.id}")
    _shows(browser, "The model", PERSON)


def test_in_models_and_their_reports(browser: Browser, client: Kinsight, model: str) -> None:
    browser.open(f"models?library={LIBRARY}")
    _shows(browser, PERSON)  # who made it live
    browser.press(model)
    browser.until(lambda: PERSON in browser.one("dialog").text)
    assert not browser.all(MARKUP)
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.driver.get(f"{browser.url}/models/{model}/report")
    _shows(browser, *CLASSES)


def test_in_operations(browser: Browser, model: str) -> None:
    browser.open("operations")
    _shows(browser, LIBRARY, "Everything works.")


@pytest.mark.parametrize("screen", ["libraries?library", "models?library", "train?job"])
def test_in_what_the_server_says(browser: Browser, model: str, screen: str) -> None:
    browser.open(f"{screen}=<i>nobody")
    browser.one("h1")
    assert "<i>nobody" in browser.one(".problem").text
    assert not browser.all("main i")
