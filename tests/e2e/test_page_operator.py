"""The page where the operator has set keys, folders of the server, and addresses it may fetch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.browser import Browser, chromium
from e2e.conftest import NETWORK
from e2e.system import System, up
from kinsight.clients import Kinsight
from kinsight.local.sample import SampleImage, sample_images

pytestmark = pytest.mark.slow

KEY = "a-key-of-ours"
LIBRARY = "locked"


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the server that it may read: class folders of digits."""
    root = tmp_path_factory.mktemp("allowed")
    for image in _zeros_and_ones():
        path = root / "digits" / image.label / image.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data)
    return root


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, allowed: Path) -> Iterator[System]:
    environment = {
        "KINSIGHT_API_KEYS": KEY,
        "KINSIGHT_INGEST_ROOTS": str(allowed),
        "KINSIGHT_FETCH_PRIVATE_ADDRESSES": "true",
    }
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with up(data_dir, "--no-sample", environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def browser(locked: System) -> Iterator[Browser]:
    with chromium(locked.url) as started:
        yield started


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback: its address, and the folder it serves."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()


def test_a_key_is_asked_for_once(locked: System, browser: Browser) -> None:
    browser.open("libraries")
    browser.write("key", "wrong", "dialog")
    browser.press("Sign in", "dialog")
    browser.wait_text("does not know this key")
    browser.write("key", KEY, "dialog")
    browser.press("Sign in", "dialog")
    browser.wait_text("There is no library yet")
    browser.write("name", LIBRARY)
    browser.press("Make library")
    browser.wait_text("Drop a folder")
    browser.driver.refresh()
    browser.wait_text("Drop a folder")
    assert KEY not in str(browser.driver.get_cookies())
    browser.press("Sign out")
    browser.write("key", KEY, "dialog")
    browser.press("Sign in", "dialog")
    browser.wait_text("Drop a folder")


def test_pictures_come_from_addresses(browser: Browser, web: tuple[str, Path]) -> None:
    url, folder = web
    first, second, late = _zeros_and_ones()[:3]
    (folder / "first.png").write_bytes(first.data)
    (folder / "second.png").write_bytes(second.data)
    browser.open(f"libraries?library={LIBRARY}")
    browser.one("#drop-pictures")
    browser.unfold()
    browser.write("urls", f"{url}/first.png\n{url}/late.png {url}/second.png")
    browser.press("Fetch these")
    browser.wait_text("3 files · 2 stored (searchable once a model is live) · 1 rejected", 60)
    browser.unfold()
    browser.wait_text("late.png answered 404")
    (folder / "late.png").write_bytes(late.data)
    browser.press("Send the rejected again")
    browser.wait_text("1 file · 1 stored", 60)


def test_pictures_come_from_a_folder_of_the_server(browser: Browser, allowed: Path) -> None:
    browser.open(f"libraries?library={LIBRARY}")
    browser.one("#drop-pictures")
    browser.unfold()
    browser.write("server_folder", str(allowed.parent))
    browser.press("Read this folder")
    browser.wait_text("is outside the folders that KINSIGHT_INGEST_ROOTS allows")
    browser.write("server_folder", str(allowed / "digits"))
    browser.press("Read this folder")
    browser.wait_text("60 files · 57 stored (searchable once a model is live) · 3 already", 60)
    assert "is outside the folders" not in browser.text()


def test_a_picture_is_searched_by_its_address(
    browser: Browser, locked: System, web: tuple[str, Path]
) -> None:
    url, folder = web
    (folder / "query.png").write_bytes(sample_images("train")[0].data)
    with Kinsight(locked.url, api_key=KEY) as client:
        job = client.train(
            LIBRARY,
            network="alexnet",
            recipe="fine-tune",
            weights="none",
            network_options=dict(_option(text) for text in NETWORK),
            recipe_options={"epochs": 1, "batch_size": 16},
            min_images_per_class=20,
        )
        client.wait(job.id, timeout=120)
        browser.open(f"search?library={LIBRARY}&k=3")
        browser.write("image_url", f"{url}/query.png")
        browser.press("Fetch")
        browser.until(lambda: len(browser.all(".card")) == 3)
        for name, value in (("x", 4), ("y", 2), ("width", 20), ("height", 28)):
            browser.unfold()
            browser.write(f"crop-{name}", str(value))
        browser.until(lambda: "crop=4%2C2%2C20%2C28" in browser.driver.current_url)
        shared = browser.driver.current_url
        browser.driver.get("about:blank")
        browser.driver.get(shared)
        expected = [
            hit.image_id
            for hit in client.search_url(LIBRARY, f"{url}/query.png", k=3, crop=(4, 2, 20, 28)).hits
        ]
        assert browser.until(lambda: _thumbnails(browser)) == expected
    (folder / "query.png").unlink()
    browser.driver.refresh()
    assert "answered 404" in browser.one(".results .problem").text
    assert not browser.complaints()


def _zeros_and_ones() -> list[SampleImage]:
    return [image for image in sample_images("test") if image.label in "01"]


def _thumbnails(browser: Browser) -> list[str]:
    addresses = [image.get_attribute("src") or "" for image in browser.all(".card img")]
    return [address.split("/images/")[1].split("/")[0] for address in addresses]


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value) if "." in value else int(value)
