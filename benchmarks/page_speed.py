"""How quick the web page is, in a real Chromium.

python benchmarks/page_speed.py --library clothing [--hits 1000] [--width 1280]

Loads the page with an empty cache and reads the browser's own first contentful paint and what was
transferred; searches with pictures of the library and times, from the last byte of the REST answer,
the frame that shows the hits and the one in which every thumbnail in sight is there; then asks for
many hits and scrolls through them, counting the time between frames. Needs selenium, chromium and
chromedriver.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from kinsight.clients import Kinsight
from kinsight.errors import KinsightError

_SMOOTH_MS = 1000 / 60 * 1.5  # one frame of sixty a second, with some room
_HEIGHT = 900

_LOADED = """
const paint = performance.getEntriesByName("first-contentful-paint")[0];
const [page] = performance.getEntriesByType("navigation");
const parts = performance.getEntriesByType("resource").filter((r) => r.initiatorType !== "img");
return paint && document.querySelector("h1") && page.loadEventEnd ? {
  first_paint_ms: paint.startTime,
  transferred_bytes: page.transferSize + parts.reduce((sum, r) => sum + r.transferSize, 0),
  requests: 1 + parts.length,
} : null;
"""
# Two frames on, what was put into the page has been painted.
_SEARCH = """
const [address, done] = arguments;
performance.clearResourceTimings();
const main = document.getElementById("main");
const seen = {};
const look = () => {
  const [answer] = performance.getEntriesByType("resource")
    .filter((r) => new URL(r.name).pathname === "/search" && r.responseEnd);
  if (answer && main.querySelector(".card")) {
    const since = performance.now() - answer.responseEnd;
    seen.hits ??= since;
    const inSight = [...main.querySelectorAll(".card img")]
      .filter((i) => i.getBoundingClientRect().top < innerHeight);
    if (inSight.every((i) => i.complete && i.naturalWidth)) {
      requestAnimationFrame(() => requestAnimationFrame(() => done({
        hits_ms: seen.hits, thumbnails_ms: performance.now() - answer.responseEnd })));
      return;
    }
  }
  requestAnimationFrame(() => requestAnimationFrame(look));
};
main.replaceChildren();
location.hash = address;
requestAnimationFrame(() => requestAnimationFrame(look));
"""
_WATCH = """
window.frames_ = [];
let last = performance.now();
const tick = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""


@contextmanager
def _chromium(width: int) -> Iterator[webdriver.Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        sys.exit("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", f"window-size={width},{_HEIGHT}"):
        options.add_argument(f"--{argument}")
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


def loads(browser: webdriver.Chrome, url: str, times: int) -> dict[str, Any]:
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    measured = []
    for _ in range(times):
        browser.get("about:blank")
        browser.get(url)
        waiting = WebDriverWait(browser, 20, 0.05)
        measured.append(waiting.until(lambda _: browser.execute_script(_LOADED)))
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
    return {
        "loads": times,
        "first_paint_ms": _spread([one["first_paint_ms"] for one in measured]),
        "transferred_bytes": max(one["transferred_bytes"] for one in measured),
        "requests": max(one["requests"] for one in measured),
    }


def searches(browser: webdriver.Chrome, addresses: list[str]) -> dict[str, Any]:
    measured = [browser.execute_async_script(_SEARCH, address) for address in addresses]
    return {
        "searches": len(measured),
        "hits_visible_ms": _spread([one["hits_ms"] for one in measured]),
        "thumbnails_visible_ms": _spread([one["thumbnails_ms"] for one in measured]),
    }


def scrolling(browser: webdriver.Chrome, address: str, hits: int) -> dict[str, Any]:
    shown = browser.execute_async_script(_SEARCH, address)
    waiting = WebDriverWait(browser, 20, 0.05)
    cards = "return document.querySelectorAll('.card').length"
    waiting.until(lambda _: browser.execute_script(cards) >= hits)
    height = browser.execute_script("return document.documentElement.scrollHeight - innerHeight")
    browser.execute_script(_WATCH)
    across = browser.execute_script("return innerWidth / 2")
    gesture = {"x": across, "y": 300, "yDistance": -height, "speed": 3000, "preventFling": True}
    browser.execute_cdp_cmd("Input.synthesizeScrollGesture", gesture)
    frames = browser.execute_script("return frames_")
    assert isinstance(frames, list)
    return {
        "hits": browser.execute_script(cards),
        "hits_visible_ms": round(shown["hits_ms"], 1),
        "pixels": height,
        "scrolled_to": browser.execute_script("return Math.round(scrollY)"),
        "frames": len(frames),
        "frame_ms": _spread(frames),
        "late_frames_percent": round(100 * sum(f > _SMOOTH_MS for f in frames) / len(frames), 2),
    }


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {
        name: ordered[min(int(part * len(ordered)), len(ordered) - 1)] for name, part in at.items()
    }
    return {
        "mean": round(statistics.fmean(values), 1),
        **{name: round(value, 1) for name, value in found.items()},
        "max": round(ordered[-1], 1),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with Kinsight(arguments.url) as client:
        images = list(itertools.islice(client.images(arguments.library), arguments.times))
    page = f"#/search?library={arguments.library}"
    addresses = [f"{page}&image_id={image.id}" for image in images]
    many = f"{page}&routing=all&k={arguments.hits}&image_id={images[0].id}"
    with _chromium(arguments.width) as browser:
        browser.set_script_timeout(60)
        report: dict[str, Any] = {"width": arguments.width, "browser": _version(browser)}
        report["load"] = loads(browser, f"{arguments.url}/{page}", arguments.times)
        report["search"] = searches(browser, addresses)
        report["scroll"] = scrolling(browser, many, arguments.hits)
    return report


def _version(browser: webdriver.Chrome) -> str:
    return f"Chromium {browser.capabilities['browserVersion']}"


def print_report(report: dict[str, Any]) -> None:
    print(f"{report['browser']}, {report['width']} pixels wide")
    for part in ("load", "search", "scroll"):
        print(part)
        for name, value in report[part].items():
            figures = value.items() if isinstance(value, dict) else [("", value)]
            print(
                f"  {name:<22}" + "  ".join(f"{key} {figure:,}".strip() for key, figure in figures)
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("KINSIGHT_URL", "http://localhost:8000"))
    parser.add_argument("--library", required=True)
    parser.add_argument("--times", type=int, default=20, help="loads, and searches")
    parser.add_argument("--hits", type=int, default=1000, help="scrolled through")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    try:
        report = measure(arguments)
    except KinsightError as error:
        print(f"{error.title}: {error.detail}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
