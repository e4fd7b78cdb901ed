"""The page's files, without a browser: complete, small, strict, and nobody else's."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from gateway_alone import client

from gateway import page, reference, sessions
from kinsight.web.settings import Settings

FOLDER = Path(page.__file__).parent
FILES = sorted(
    path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")
)
KEY = "correct horse"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(Settings(api_keys=[])) as client_:
        yield client_


@pytest.fixture
async def closed() -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with a key; behind it is nothing, so what it lets through fails otherwise."""
    async with client(Settings(api_keys=["another", KEY])) as client_:
        yield client_


async def test_policy_forbids_everything_foreign(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_all_that_is_named_exists_and_is_kept_for_good(http: httpx.AsyncClient) -> None:
    document = (await http.get("/")).text
    asked = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', document))
    assert {path.name for path in FOLDER.glob("assets/*")} == {a.rpartition("/")[2] for a in asked}
    for address in asked:
        answer = await http.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
        again = await http.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for path in FOLDER.glob("assets/*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (FOLDER / "assets" / name).is_file(), f"{path.name} imports {name}"


async def test_another_version_of_the_page_is_not_kept(http: httpx.AsyncClient) -> None:
    assert (await http.get("/assets/0123/app.js")).headers["cache-control"] == "no-store"
    assert (await http.get("/assets/0123/nothing.js")).status_code == 404
    assert (await http.get("/assets/0123/..%2f__init__.py")).status_code == 404


async def test_the_document_is_asked_for_anew_each_time(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.headers["cache-control"] == "no-cache"
    again = await http.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_small_when_compressed(http: httpx.AsyncClient) -> None:
    names = ["/", *(f"/assets/{page.load().version}/{name}" for name in page.load().assets)]
    sizes = []
    for name in names:
        answer = await http.get(name, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        sizes.append(int(answer.headers["content-length"]))
        plain = await http.get(name, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == answer.content
    assert sum(sizes) < 250_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    addresses = set(
        re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"'`)]*", path.read_text())
    )
    assert addresses <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_text_becomes_markup_or_program(path: Path) -> None:
    text = path.read_text()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in text
    if path.suffix == ".html":
        assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?![^>]*\ssrc=)", text)


@pytest.mark.slow
def test_wheel_holds_the_page(tmp_path: Path) -> None:
    root = next(p for p in FOLDER.parents if (p / "pyproject.toml").is_file())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."]
    subprocess.run(command, cwd=root, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    folder = Path(reference.__file__).parent
    served = [*FILES, *folder.glob("*.html"), *folder.glob("*.js")]
    assert {f"gateway/{path.relative_to(FOLDER.parent).as_posix()}" for path in served} <= held


async def test_the_page_itself_needs_no_key(closed: httpx.AsyncClient) -> None:
    for path in ("/", "/favicon.ico", f"/assets/{page.load().version}/app.js"):
        assert (await closed.get(path)).status_code == 200
    for path in ("/libraries", "/session", "/docs", "/images/1/content"):
        assert (await closed.get(path)).status_code == 401


async def test_signing_in_makes_a_session_without_the_key(closed: httpx.AsyncClient) -> None:
    assert (await closed.post("/session")).status_code == 401
    wrong = await closed.post("/session", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    answer = await closed.post("/session", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert KEY not in cookie
    # let in: there is a page of the routes, and no key was sent
    assert (await closed.get("/docs")).status_code == 200
    # a key that is sent is the one that counts
    refused = await closed.get("/docs", headers={"X-API-Key": "wrong"})
    assert refused.status_code == 401
    assert (await closed.delete("/session")).status_code == 204
    assert (await closed.get("/docs")).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "1.2", ".", "9" * 13 + ".00", "٣.00", '"', "é.é"])
async def test_invented_sessions_are_refused(closed: httpx.AsyncClient, token: str) -> None:
    cookie = f"{sessions.COOKIE}={token}".encode()
    assert (await closed.get("/docs", headers={b"Cookie": cookie})).status_code == 401


def test_sessions_expire_and_end_with_their_key() -> None:
    now = time.time()
    token = sessions.issue(KEY.encode(), int(now) + 60)
    assert sessions.holds(token, [b"another", KEY.encode()], now)
    assert not sessions.holds(token, [KEY.encode()], now + 61)
    assert not sessions.holds(token, [b"another"], now)
    later = token.replace(token.partition(".")[0], str(int(now) + 9999))
    assert not sessions.holds(later, [KEY.encode()], now)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://kinsight.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://kinsight.test:8001"},
        {"Origin": "null"},
    ],
)
async def test_other_sites_change_nothing(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/libraries"), ("DELETE", "/images/1"), ("POST", "/session")):
        answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["code"] == "cross-site"
    assert (await http.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://a.proxy.test"},
        {"Origin": "http://kinsight.test"},
        {"Origin": "https://front.test", "X-Forwarded-Host": "front.test"},
    ],
)
async def test_the_page_and_programs_are_let_through(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await http.post("/session", headers=headers)).status_code == 204
