"""A headless Chromium on the page, and the few things a person does with it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from conftest import missing

Found = TypeVar("Found")

PHONE = 600
TRAFFIC = "performance"  # the log in which chromedriver keeps the requests

_DROP = """
const [name, type, base64, selector] = arguments;
const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, { type }));
const place = document.querySelector(selector);
const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
place.dispatchEvent(new DragEvent("dragover", options));
place.dispatchEvent(new DragEvent("drop", options));
"""


class Browser:
    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, screen: str) -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{screen}")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str, seconds: float = 20) -> WebElement:
        """The element, as soon as there is one."""
        return self.until(lambda: self.driver.find_element(By.CSS_SELECTOR, selector), seconds)

    def until(self, condition: Callable[[], Found], seconds: float = 20) -> Found:
        """What the condition gives, once that is true; elements may come and go meanwhile."""
        gone = (NoSuchElementException, StaleElementReferenceException)
        waiting = WebDriverWait(self.driver, seconds, 0.1, ignored_exceptions=gone)
        return waiting.until(lambda _: condition(), self.text())

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def wait_text(self, words: str, seconds: float = 20) -> None:
        self.until(lambda: words in self.text(), seconds)

    def press(self, words: str, inside: str = "body") -> None:
        """The visible button or link with these words."""

        def pressed() -> bool:
            for element in self.all(f"{inside} button, {inside} a"):
                if element.text == words and element.is_enabled():
                    self._click(element)
                    return True
            return False

        self.until(pressed)

    def click(self, selector: str) -> None:
        """The element, as soon as there is one; another in its place, should it be redrawn."""
        self.until(lambda: self._click(self.driver.find_element(By.CSS_SELECTOR, selector)))

    def _click(self, element: WebElement) -> bool:
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        return True

    def write(self, name: str, text: str, inside: str = "body") -> None:
        element = self.one(f"{inside} [name='{name}']")
        element.clear()
        element.send_keys(text)

    def select(self, name: str, value: str) -> None:
        Select(self.one(f"[name='{name}']")).select_by_value(value)

    def choose(self, name: str, value: str) -> None:
        self.click(f"input[name='{name}'][value='{value}']")

    def unfold(self) -> None:
        self.driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = 1)")

    def drop(self, path: Path, kind: str, selector: str = ".drop") -> None:
        data = base64.b64encode(path.read_bytes()).decode()
        self.one(selector)
        self.driver.execute_script(_DROP, path.name, kind, data, selector)

    def colours(self, scheme: str) -> None:
        """`light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def connection(self, *, offline: bool = False, upload_bytes_per_second: int = -1) -> None:
        """Without arguments: as quick as it is."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        speed = {"downloadThroughput": -1, "uploadThroughput": upload_bytes_per_second}
        conditions = {"offline": offline, "latency": 0, **speed}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def block(self, *patterns: str) -> None:
        """Requests to these addresses fail as if nobody answered; none: all go through again."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(patterns)})

    def requests(self) -> list[str]:
        """Every address asked for since the last call; needs `traffic`."""
        told = (json.loads(line["message"])["message"] for line in self.driver.get_log(TRAFFIC))
        sent = [one["params"] for one in told if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def complaints(self) -> list[dict[str, Any]]:
        """What the console says of failed scripts and broken policies."""
        of_no_matter = ("network", "recommendation")
        log = self.driver.get_log("browser")
        return [line for line in log if line["source"] not in of_no_matter]


@contextmanager
def chromium(
    url: str, *, width: int = 1280, height: int = 1000, traffic: bool = False
) -> Iterator[Browser]:
    """Narrow ones are phones: they have a touch screen and no mouse."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        missing("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    logs = {"browser": "ALL", **({TRAFFIC: "ALL"} if traffic else {})}
    options.set_capability("goog:loggingPrefs", logs)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        started.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < PHONE},
        )
        if width < PHONE:
            started.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        yield Browser(started, url)
    finally:
        started.quit()
