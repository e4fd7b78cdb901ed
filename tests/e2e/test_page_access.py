"""The page for everybody: phone to wall, light and dark, keyboard, screen readers."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from e2e.accessibility import grave_issues
from e2e.browser import Browser, chromium
from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

COLOURS = ("light", "dark")


def _screens(client: Kinsight, digits: Digits) -> list[str]:
    image = next(iter(client.images("digits")))
    return [
        "search?library=digits",
        f"search?library=digits&k=12&image_id={image.id}",
        "libraries",
        "libraries?library=digits",
        "train",
        f"train?job={digits.train_job}",
        "models",
        f"models?library=digits&compare={digits.model}",
        "operations",
    ]


def _show(browser: Browser, screen: str) -> None:
    browser.open(screen)
    browser.one("h1")
    browser.until(lambda: "Looking…" not in browser.text(), 30)
    if "image_id" in screen:
        browser.until(lambda: len(browser.all(".card")) == 12)
    if "job=" in screen:
        browser.wait_text("The model")


@pytest.mark.parametrize(("width", "colours"), [(360, COLOURS), (1280, COLOURS), (2560, ())])
def test_every_screen_fits_and_has_no_grave_issue(
    system: System, client: Kinsight, digits: Digits, width: int, colours: tuple[str, ...]
) -> None:
    """And asks nothing of another host."""
    with chromium(system.url, width=width, traffic=True) as browser:
        for screen in _screens(client, digits):
            _show(browser, screen)
            assert len(browser.all("h1")) == 1, screen
            wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, screen
            for scheme in colours:
                browser.colours(scheme)
                assert grave_issues(browser) == [], (screen, scheme)
        asked = browser.requests()
        assert f"{system.url}/admin/sla" in asked
        assert _foreign(asked, system) == []
        assert not browser.complaints()


def _foreign(addresses: list[str], system: System) -> list[str]:
    ours = (f"{system.url}/", "data:", "about:")
    return [address for address in addresses if not address.startswith(ours)]


@pytest.mark.parametrize("width", [360, 1280])
def test_no_dialog_has_a_grave_issue(
    system: System, client: Kinsight, digits: Digits, width: int
) -> None:
    image = next(iter(client.images("digits")))
    places = {
        f"search?library=digits&k=12&image_id={image.id}": "main .card",
        f"models?library=digits&compare={digits.model}": "main .link",
        "libraries?library=digits": "main .danger",
    }
    with chromium(system.url, width=width) as browser:
        for screen, opens in places.items():
            _show(browser, screen)
            browser.driver.execute_script("arguments[0].click()", browser.one(opens))
            browser.one("dialog[open] h2")
            for colours in COLOURS:
                browser.colours(colours)
                assert grave_issues(browser) == [], (screen, colours)


def test_a_grave_issue_would_be_found(system: System, digits: Digits) -> None:
    with chromium(system.url) as browser:
        _show(browser, "libraries")
        browser.driver.execute_script(
            "document.querySelector('main').append(document.createElement('button'))"
        )
        assert [issue.split()[0] for issue in grave_issues(browser)] == ["button-name"]


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
        browser.open("libraries?library=digits")
        delete = browser.until(
            lambda: next(
                (one for one in browser.all(".danger") if one.text == "Delete library"), None
            )
        )
        delete.send_keys(Keys.ENTER)
        browser.one("dialog[open]")
        browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        browser.until(lambda: browser.driver.switch_to.active_element.text == "Delete library")
        link = browser.one("nav a[href='#/models']")
        link.send_keys(Keys.ENTER)
        browser.until(lambda: browser.driver.title == "Models · Kinsight")
        assert browser.driver.switch_to.active_element.get_attribute("id") == "main"


def test_the_rest_page_asks_nothing_of_another_host(system: System) -> None:
    with chromium(system.url, traffic=True) as browser:
        browser.driver.get(f"{system.url}/docs")
        browser.until(lambda: "What looks like this?" in browser.text())
        asked = browser.requests()
        assert f"{system.url}/openapi.json" in asked
        assert _foreign(asked, system) == []
        assert not browser.complaints()
