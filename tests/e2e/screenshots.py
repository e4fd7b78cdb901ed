"""Pictures of every screen of a running system, light and dark, phone and desktop.

`PYTHONPATH=tests python -m e2e.screenshots http://localhost:8000 FOLDER`
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from e2e.browser import Browser, chromium
from kinsight.clients import Kinsight

WIDTHS = {"phone": 360, "desktop": 1280, "wall": 2560}
TALLEST = 4000
_QUIET_SECONDS = 1.0  # for pictures and figures to arrive


def main(url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    screens = _screens(url)
    for device, width in WIDTHS.items():
        with chromium(url, width=width) as browser:
            for colours in ("light", "dark"):
                browser.colours(colours)
                for name, address in screens.items():
                    path = folder / f"{name}-{device}-{colours}.png"
                    _take(browser, address, width, path)
                    print(path)


def _screens(url: str) -> dict[str, str]:
    with Kinsight(url) as client:
        libraries = client.libraries()
        shown = next((one for one in libraries if one.model), None)
        if shown is None:
            sys.exit("No library has a live model yet: `kinsight up` makes a sample of one.")
        image = next(iter(client.images(shown.name)))
        run = next(job for job in client.jobs() if job.kind == "train")
        models = "&".join(f"compare={model.id}" for model in client.models(shown.name)[:2])
    return {
        "search": f"search?library={shown.name}&k=30&image_id={image.id}",
        "libraries": "libraries",
        "library": f"libraries?library={shown.name}",
        "train": f"train?library={shown.name}",
        "run": f"train?job={run.id}",
        "models": f"models?library={shown.name}&{models}",
        "operations": "operations",
    }


def _take(browser: Browser, address: str, width: int, path: Path) -> None:
    _resize(browser, width, 900)
    browser.open(address)
    browser.one("h1")
    browser.until(lambda: "Looking…" not in browser.text(), 30)
    time.sleep(_QUIET_SECONDS)
    tall = browser.driver.execute_script("return document.documentElement.scrollHeight")
    _resize(browser, width, min(tall, TALLEST))
    time.sleep(_QUIET_SECONDS / 2)
    browser.driver.save_screenshot(str(path))


def _resize(browser: Browser, width: int, height: int) -> None:
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
