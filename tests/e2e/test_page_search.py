"""Searching through the page: a dropped picture, a crop, a correction, hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from e2e.browser import Browser, chromium
from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def browser(system: System, digits: Digits) -> Iterator[Browser]:
    with chromium(system.url) as started:
        yield started


_COPY = """
const [address, done] = arguments;
const picture = fetch(address).then((answer) => answer.blob());
navigator.clipboard.write([new ClipboardItem({ "image/png": picture })])
  .then(() => done("copied"), (error) => done(String(error)));
"""
# The bytes of six thumbnails that came over the network, once all are there.
_TRANSFERRED = """
const images = [...document.querySelectorAll(".card img")];
const sizes = performance.getEntriesByType("resource")
  .filter((one) => one.name.includes("/thumbnail")).map((one) => one.transferSize);
return images.length === 6 && images.every((one) => one.complete) && sizes.length === 6 && sizes;
"""


def _hits(browser: Browser) -> list[str]:
    return browser.until(
        lambda: [card.get_attribute("title") or "" for card in browser.all(".card")]
    )


def test_a_dropped_picture_is_searched(
    browser: Browser, client: Kinsight, digits: Digits, picture: Path
) -> None:
    browser.open("search?library=digits&k=7")
    browser.drop(picture, "image/png")
    expected = client.search("digits", picture, k=7)
    assert _hits(browser) == [hit.filename for hit in expected.hits]
    text = browser.text()
    assert expected.query.classes[0].class_ in browser.one(".bars li .name").text
    assert f"{expected.routing.compared:,} of 1,497 pictures compared" in text
    assert ("No match" in text) is not expected.match
    similarities = [card.text for card in browser.all(".card .similarity")]
    assert similarities[0].endswith(f"{expected.hits[0].similarity:.3f}")
    assert not browser.complaints()


def test_the_address_is_the_query(browser: Browser, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    browser.open(f"search?library=digits&k=5&space=hash&routing=all&image_id={image.id}")
    expected = client.search_image("digits", image.id, k=5, space="hash", routing="all")
    assert _hits(browser) == [hit.filename for hit in expected.hits]
    browser.select("space", "softmax")
    browser.until(lambda: "space=softmax" in browser.driver.current_url)
    expected = client.search_image("digits", image.id, k=5, space="softmax", routing="all")
    names = [hit.filename for hit in expected.hits]
    browser.until(lambda: _hits(browser) == names)
    browser.driver.refresh()
    browser.until(lambda: _hits(browser) == names)


def test_less_similar_ones_are_left_out(browser: Browser, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    options = {"k": 9, "space": "softmax", "crops": 10}
    whole = client.search_image("digits", image.id, **options)
    least = whole.hits[4].similarity
    browser.open(f"search?library=digits&k=9&space=softmax&image_id={image.id}")
    assert len(_hits(browser)) == 9
    browser.select("crops", "10")
    browser.write("min_similarity", f"{least:.6f}")
    browser.until(lambda: f"min_similarity={least:.6f}" in browser.driver.current_url)
    expected = client.search_image("digits", image.id, min_similarity=round(least, 6), **options)
    names = [hit.filename for hit in expected.hits]
    assert len(names) < 9
    browser.until(lambda: _hits(browser) == names)
    browser.driver.refresh()
    browser.until(lambda: _hits(browser) == names)
    assert browser.one("[name='crops']").get_attribute("value") == "10"
    browser.write("min_similarity", "2")
    browser.until(lambda: browser.all("[name='min_similarity']:invalid"))
    assert _hits(browser) == names


def test_a_hit_is_the_next_query(browser: Browser, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    browser.open(f"search?library=digits&k=4&space=hash&image_id={image.id}&crop=2,2,20,20")
    first = client.search_image("digits", image.id, k=4, space="hash", crop=(2, 2, 20, 20))
    browser.until(lambda: _hits(browser) == [hit.filename for hit in first.hits])
    browser.all(".card")[2].click()
    browser.press("Search with this", "dialog")
    found = client.search_image("digits", first.hits[2].image_id, k=4, space="hash")
    browser.until(lambda: _hits(browser) == [hit.filename for hit in found.hits])
    assert browser.one("[name='space']").get_attribute("value") == "hash"
    browser.driver.back()
    browser.until(lambda: _hits(browser) == [hit.filename for hit in first.hits])


def test_a_copied_picture_is_pasted(
    browser: Browser, client: Kinsight, digits: Digits, picture: Path
) -> None:
    image = next(iter(client.images("digits")))
    rights = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", rights)
    browser.open("search?library=digits&k=5")
    browser.one(".drop")
    assert browser.driver.execute_async_script(_COPY, image.content_url) == "copied"
    ActionChains(browser.driver).key_down(Keys.CONTROL).send_keys("v").key_up(
        Keys.CONTROL
    ).perform()
    expected = client.search_image("digits", image.id, k=5)
    assert _hits(browser) == [hit.filename for hit in expected.hits]
    assert "image_id" not in browser.driver.current_url
    assert "not a picture of your own" in browser.text()


def test_thumbnails_are_kept_by_content(
    browser: Browser, client: Kinsight, http: httpx.Client, digits: Digits
) -> None:
    image = next(iter(client.images("digits")))
    answer = http.get(f"{image.thumbnail_url}?size=256")
    assert answer.headers["etag"] == f'"{image.sha256}-256"'
    assert "immutable" in answer.headers["cache-control"]
    browser.open(f"search?library=digits&k=6&image_id={image.id}")
    for _ in range(2):
        browser.until(lambda: browser.driver.execute_script(_TRANSFERRED))
        transferred = browser.driver.execute_script(_TRANSFERRED)
        browser.driver.refresh()
    assert transferred == [0] * 6  # the second time


def test_a_photo_is_taken_on_a_phone(
    system: System, client: Kinsight, digits: Digits, picture: Path
) -> None:
    with chromium(system.url, width=360) as phone:
        phone.open("search?library=digits&k=3")
        assert phone.one("label[for='photograph']").is_displayed()
        camera = phone.one("#photograph")
        assert camera.get_attribute("capture") == "environment"
        camera.send_keys(str(picture))
        expected = client.search("digits", picture, k=3)
        assert _hits(phone) == [hit.filename for hit in expected.hits]
        top = "return document.querySelector('.results').getBoundingClientRect().top"
        phone.until(lambda: phone.driver.execute_script(f"{top} < innerHeight / 2"))


def test_only_the_chosen_classes_are_scanned(
    browser: Browser, client: Kinsight, digits: Digits
) -> None:
    image = next(iter(client.images("digits")))
    browser.open(f"search?library=digits&image_id={image.id}")
    browser.select("routing", "named")
    browser.choose("classes", "3")
    browser.wait_text("3 (named")
    assert "classes=3" in browser.driver.current_url
    labels = {str(card.text) for card in browser.all(".card .class")}
    assert labels <= {"class 3"}


def test_a_crop_is_drawn_or_typed(browser: Browser, client: Kinsight, digits: Digits) -> None:
    image = next(iter(client.images("digits")))
    browser.open(f"search?library=digits&k=6&image_id={image.id}")
    _hits(browser)
    stage = browser.one(".stage")
    (
        ActionChains(browser.driver)
        .move_to_element_with_offset(stage, -60, -60)
        .click_and_hold()
        .move_by_offset(90, 100)
        .release()
        .perform()
    )
    browser.until(lambda: "crop=" in browser.driver.current_url)
    browser.unfold()
    drawn = [
        int(browser.one(f"[name='crop-{n}']").get_attribute("value") or -1)
        for n in ("x", "y", "width", "height")
    ]
    assert all(0 < side < 32 for side in drawn)
    for name, value in (("x", 4), ("y", 2), ("width", 20), ("height", 28)):
        browser.write(f"crop-{name}", str(value))
    browser.until(lambda: "crop=4%2C2%2C20%2C28" in browser.driver.current_url)
    expected = client.search_image("digits", image.id, k=6, crop=(4, 2, 20, 28))
    names = [hit.filename for hit in expected.hits]
    browser.until(lambda: _hits(browser) == names)
    browser.write("crop-x", "900")
    browser.until(lambda: browser.all(".results .problem"))


def test_what_the_server_refuses_is_said(
    browser: Browser, client: Kinsight, digits: Digits, tmp_path: Path
) -> None:
    text = tmp_path / "not-a-picture.png"
    text.write_bytes(b"words")
    browser.open("search?library=digits")
    browser.drop(text, "image/png")
    said = browser.one(".results .problem").text
    assert "image" in said.lower()
    image = next(iter(client.images("digits")))
    browser.open(f"search?library=nowhere&image_id={image.id}")
    assert "nowhere" in browser.one(".problem").text


def test_names_are_text_and_labels_are_corrected(
    browser: Browser, client: Kinsight, digits: Digits, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / HOSTILE
    folder.mkdir(parents=True)
    name = "<script>document.title='owned'</script>.png".replace("/", "\u2215")
    (folder / name).write_bytes(digits.held_out[3].data)
    client.wait(client.index_batch("digits", [tmp_path / "in"]).id, timeout=60)
    (image,) = client.images("digits", label=HOSTILE)
    browser.open(f"search?library=digits&k=3&image_id={image.id}")
    browser.wait_text(HOSTILE)
    browser.all(".card")[0].click()
    browser.until(lambda: browser.one("dialog h2").text == image.filename)
    corrected = "\"><b>it's</b>"
    browser.write("label", corrected, "dialog")
    browser.press("Save label", "dialog")
    browser.until(lambda: client.image(image.id).label == corrected)
    browser.until(lambda: browser.all(".card .label")[0].text == corrected)
    browser.open("libraries?library=digits")
    browser.wait_text(corrected)
    assert browser.driver.title == "Libraries · Kinsight"
    assert not browser.all("main b, main script")
    assert not browser.complaints()
    browser.open(f"search?library=digits&k=3&image_id={image.id}")
    _hits(browser)
    browser.all(".card")[0].click()
    browser.press("Delete", "dialog")
    browser.press("Cancel", "dialog:last-of-type")
    assert client.image(image.id)
    browser.press("Delete", "dialog")
    browser.press("Delete", "dialog:last-of-type")
    browser.until(lambda: len(_hits(browser)) == 2)
    assert client.library("digits").images == digits.images
