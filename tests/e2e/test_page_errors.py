"""What the server refuses, or does not answer, is said in words where it was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.browser import Browser, chromium
from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

AWAY = "The server does not answer. Is it running, and are you connected?"


@pytest.fixture(scope="module")
def started(system: System, digits: Digits) -> Iterator[Browser]:
    with chromium(system.url) as browser:
        yield browser


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    started.block()
    yield started
    started.block()
    assert not started.complaints()


def _said(browser: Browser, words: str, inside: str) -> None:
    browser.until(lambda: words in browser.one(f"{inside} .problem").text)


@pytest.mark.parametrize(
    ("screen", "request_", "inside"),
    [
        ("search", "/libraries", ".screen"),
        ("libraries", "/libraries", ".screen"),
        ("libraries?library=digits", "/libraries/digits", ".screen"),
        ("libraries?library=digits", "/libraries/digits/images*", "[aria-label='Browse']"),
        ("train", "/jobs*", ".screen"),
        ("models", "/models*", ".screen"),
        ("models?library=digits", "/libraries/digits/promotions*", ".screen"),
        ("operations", "/admin/sla", "[aria-label='Requirements']"),
        ("operations", "/admin/training-curves", "[aria-label='Speed of training']"),
        ("operations", "/admin/doctor", "[aria-label='Doctor']"),
        ("operations", "/jobs*", "[aria-label='Jobs']"),
        ("operations", "/libraries", "[aria-label='Clear and rebuild']"),
    ],
)
def test_no_answer(browser: Browser, screen: str, request_: str, inside: str) -> None:
    browser.block(f"{browser.url}{request_}")
    browser.open(screen)
    _said(browser, AWAY, inside)
    assert len(browser.all("h1")) == 1


def test_operations_come_back(browser: Browser) -> None:
    browser.block(f"{browser.url}/admin/*")
    browser.open("operations")
    _said(browser, AWAY, "[aria-label='Doctor']")
    browser.block()
    browser.wait_text("Everything works.", 30)
    browser.until(lambda: not browser.all(".problem"), 30)


def test_around_a_search(browser: Browser, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    search = f"search?library=digits&k=3&image_id={image.id}"
    browser.block(f"{browser.url}/search*")
    browser.open(search)
    _said(browser, AWAY, ".results")
    browser.block()
    browser.open(search)
    browser.until(lambda: len(browser.all(".card")) == 3)
    browser.all(".card")[0].click()
    browser.one("dialog [name='label']")
    browser.block(f"{browser.url}/images/*")
    browser.press("Save label", "dialog")
    _said(browser, AWAY, "dialog")
    browser.press("Delete", "dialog")
    browser.press("Delete", "dialog:last-of-type")
    _said(browser, AWAY, "dialog")
    browser.block()
    browser.open("search?library=digits")
    browser.one("[name='image_url']").send_keys("http://127.0.0.1:1/hat.jpg")
    browser.press("Fetch")
    _said(browser, "KINSIGHT_FETCH_PRIVATE_ADDRESSES", ".results")


def test_around_libraries(browser: Browser, client: Kinsight, digits: Digits) -> None:
    browser.open("libraries")
    browser.write("name", "digits")
    browser.press("Make library")
    _said(browser, "There is a library 'digits' already.", "form")
    browser.open("libraries?library=digits")
    browser.until(lambda: browser.all(".grid li"))
    browser.unfold()
    browser.write("server_folder", "/etc")
    browser.press("Read this folder")
    _said(browser, "This server reads no folders of its own", "[aria-label='Add pictures']")
    browser.one(".pick input").click()
    browser.block(f"{browser.url}/images/*")
    browser.one("[name='new-label']").send_keys("7")
    browser.press("Set label")
    _said(browser, f"1 of 1 failed. {AWAY}", "[aria-label='Browse']")
    browser.block(f"{browser.url}/admin/*", f"{browser.url}/libraries/digits")
    browser.press("Rebuild")
    _said(browser, AWAY, "[aria-label='Summary']")
    browser.press("Delete library")
    browser.press("Delete", "dialog")
    _said(browser, AWAY, "[aria-label='Summary']")
    assert client.library("digits").images == digits.images


def test_around_training(browser: Browser, digits: Digits) -> None:
    browser.open("train?library=digits")
    browser.choose("network", "other")
    browser.write("network_name", "torchvision/nothing")
    browser.select("weights", "none")
    browser.unfold()
    browser.press("Start training")
    _said(browser, "torchvision/nothing", "form")
    browser.choose("network", "alexnet")
    browser.write("network_options", '{"no_such": 1}')
    browser.press("Start training")
    _said(browser, "no_such", "form")
    browser.write("network_options", "{}")
    browser.write("min_images_per_class", "100000")
    browser.press("Start training")
    _said(browser, "100000", "form")


def test_around_models(browser: Browser, digits: Digits) -> None:
    browser.open("models?library=digits")
    row = f"tr[data-model='{digits.model}']"
    browser.one(row)
    browser.block(f"{browser.url}/models/*")
    browser.press("Evaluate", row)
    _said(browser, AWAY, "[aria-label='Models']")
    browser.press(digits.model)
    _said(browser, AWAY, "[aria-label='Models']")
