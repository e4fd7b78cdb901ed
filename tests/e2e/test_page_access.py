"""The page for everybody: phone to wall, keyboard, names for screen readers, signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from e2e.browser import chromium
from e2e.conftest import Digits
from e2e.system import System, up
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

SCREENS = (
    "search?library=digits",
    "libraries",
    "libraries?library=digits",
    "train",
    "models",
    "operations",
)
# Controls without a name, ids given twice, pictures without a text, headings left out.
_FAULTS = """
const named = (e) => e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim();
const shown = (e) => e.checkVisibility();
const faults = [...document.querySelectorAll("button, a, input, select, textarea")]
  .filter((e) => shown(e) && !named(e)).map((e) => `no name: ${e.outerHTML}`);
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => faults.push(`twice: ${id}`));
document.querySelectorAll("img:not([alt])").forEach((e) => faults.push(`no alt: ${e.src}`));
if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
if (!document.documentElement.lang || !document.querySelector("main")) faults.push("no landmarks");
return faults;
"""


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_every_screen_fits_and_is_named(system: System, digits: Digits, width: int) -> None:
    with chromium(system.url, width=width) as browser:
        for screen in SCREENS:
            browser.open(screen)
            browser.one("h1")
            browser.until(lambda: "Looking…" not in browser.text(), 30)
            wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, screen
            assert browser.driver.execute_script(_FAULTS) == [], screen
        assert not browser.complaints()


def test_the_keyboard_goes_all_the_way(system: System, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    with chromium(system.url) as browser:
        browser.open(f"search?library=digits&image_id={image.id}&k=4")
        browser.until(lambda: len(browser.all(".card")) == 4)
        browser.driver.execute_script("document.querySelector('.card').focus()")
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        browser.one("dialog[open] .picture img")
        browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        browser.until(lambda: not browser.all("dialog"))
        focused = browser.driver.switch_to.active_element
        assert "card" in (focused.get_attribute("class") or "")
        link = browser.one("nav a[href='#/models']")
        link.send_keys(Keys.ENTER)
        browser.until(lambda: browser.driver.title == "Models · Kinsight")
        assert browser.driver.switch_to.active_element.get_attribute("id") == "main"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    keys = {"KINSIGHT_API_KEYS": "a-key-of-ours"}
    with up(tmp_path_factory.mktemp("locked") / "data", "--no-sample", environment=keys) as running:
        yield running


def test_a_key_is_asked_for_once(locked: System, tmp_path: Path) -> None:
    with chromium(locked.url) as browser:
        browser.open("libraries")
        browser.write("key", "wrong", "dialog")
        browser.press("Sign in", "dialog")
        browser.wait_text("does not know this key")
        browser.write("key", "a-key-of-ours", "dialog")
        browser.press("Sign in", "dialog")
        browser.wait_text("There is no library yet")
        browser.write("name", "locked")
        browser.press("Make library")
        browser.wait_text("Drop a folder")
        browser.driver.refresh()
        browser.wait_text("Drop a folder")
        assert "a-key-of-ours" not in str(browser.driver.get_cookies())
        browser.press("Sign out")
        browser.one("dialog input[name='key']")
