"""The page as people meet it: a real `sensorium serve` on a small archive, and a real browser that looks at it."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import forked
from tests.scripts import AT_REST
from tests.waiting import LONG

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"
SHOTS = os.environ.get("SENSORIUM_SCREENSHOTS")
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
FILES = (
    "images/cat-portrait.jpg", "images/husky.jpg", "images/espresso-cup.jpg", "images/rowing-boats-sunset.jpg",
    "images/fire-engine.jpg", "images/violin.tiff", "sounds/dog-bark.ogg", "sounds/rooster-crowing.wav", "sounds/rain.m4a",
    "videos/pets.mp4", "videos/travel.mp4", "videos/storm.webm", "texts/coffee-at-home.md", "texts/caring-for-cats.pdf",
    "texts/museum-guide.vtt", "texts/training-a-young-dog.md",
)  # fmt: skip


class Served:
    """A running service; it can be stopped and started again at the same address."""

    def __init__(self, home: Path, *roots: Path, tokens: bool = False, start: bool = True, **settings: object) -> None:
        """Without ``tokens``, every caller on this machine is let in. Without ``start``, it is to be started."""
        self.tokens = tokens
        self.home, self.roots, self.log = home, roots, home.with_suffix(".log")
        self.settings = {f"SENSORIUM_{name.upper()}": str(value) for name, value in settings.items()}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        if start:
            self.start()

    def start(self) -> None:
        roots = [part for root in self.roots for part in ("--root", str(root))]
        command = [
            sys.executable,
            "-m",
            "ui.cli",
            "serve",
            "--token" if self.tokens else "--no-token",
            "--port",
            str(self.port),
            *roots,
        ]
        env = os.environ | {"SENSORIUM_HOME": str(self.home), "PYTHONPATH": str(ROOT)} | self.settings
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, env=env, stderr=log)
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=10):
                    return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """A few files of each medium, and one that is none."""
    folder = tmp_path_factory.mktemp("page") / "archive"
    for number, file in enumerate(FILES):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE / file, folder / file)
        changed = datetime.datetime(2024, 3 + number % 4, 15, tzinfo=datetime.UTC).timestamp()
        os.utime(folder / file, (changed, changed))
    (folder / "images" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture follows")
    return folder


def index(home: Path, *paths: Path) -> int:
    """Index as the command does; says how many files came in."""
    done = forked("index", *paths, "--json", env=os.environ | {"SENSORIUM_HOME": str(home)})
    return int(json.loads(done.stdout.splitlines()[-1])["progress"]["done"])


def read(home: Path, reader: str) -> None:
    """Have a reader read the archive, as the command does."""
    done = forked("readers", "add", reader, env=os.environ | {"SENSORIUM_HOME": str(home), "SENSORIUM_DEVICE": "cpu"})
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def served(archive: Path, tmp_path_factory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("page-home")
    assert index(home, archive) == len(FILES)
    service = Served(home, archive)
    yield service
    service.stop()
    assert "Traceback" not in service.log.read_text(), service.log.read_text()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).exists():
        pytest.skip("there is no Chromium here; CHROMIUM names one")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Note that a test has failed, for its page to be kept as a picture."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def tabs() -> dict[str, list]:
    """Tabs that one test hands on to the next, by the language of their browser: it reads the page's scripts and styles once."""
    return defaultdict(list)


@pytest.fixture
def open_page(browser, tabs, request, tmp_path):
    """Opens pages; ``shoot`` takes a picture of one if SENSORIUM_SCREENSHOTS names a folder. Afterwards one of each is taken, if the test has
    failed too; and a script that complained is a failure. ``own``: a tab that no other test has had or gets, for what would stay in it."""
    pages, complaints = [], []

    def wrong(error) -> None:
        complaints.append(str(error))

    def said(message) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def open_(
        address: str, *, width: int = 1600, height: int = 1000, dark: bool = False, permissions=(), locale: str = "en-US", own: bool = False
    ):  # fmt: skip
        handed = not (own or permissions)
        if handed and tabs[locale]:
            page = tabs[locale].pop()
        else:
            page = browser.new_context(permissions=list(permissions), accept_downloads=True, locale=locale).new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_default_timeout(LONG * 1000)
        page.on("pageerror", wrong)
        page.on("console", said)
        pages.append((page, tabs[locale] if handed else None))
        page.goto(address)
        return page

    def shoot(page, moment: str) -> None:
        if not (SHOTS or request.node.stash.get(FAILED, False)):
            return
        name = re.sub(r"\W+", "-", f"{request.node.name}-{moment}").strip("-")
        page.screenshot(path=(Path(SHOTS) if SHOTS else tmp_path) / f"{name}.png")

    open_.shoot = shoot
    yield open_
    for number, (page, idle) in enumerate(pages):
        shoot(page, str(number or ""))
        page.remove_listener("pageerror", wrong)
        page.remove_listener("console", said)
        if idle is None or complaints or request.node.stash.get(FAILED, False) or not emptied(page):
            page.context.close()
        else:
            idle.append(page)
    assert not complaints


def emptied(page) -> bool:
    """Take from a tab what a test has left in it: what the page stored, cookies, the page itself. False: it cannot be.

    The cache stays: each service has a port of its own, and what it sends under an address does not change.
    """
    from playwright.sync_api import Error

    try:
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.goto("about:blank")
        page.mouse.move(0, 0)  # else it would hover over the next page
        page.context.clear_cookies()
    except Error:
        return False
    return page.context.pages == [page]


def cards(page) -> list[str]:
    """The names on the grid's cards, in their order."""
    page.locator("a[data-at] .name").first.wait_for()
    return page.locator("a[data-at] .name").all_text_contents()


def at_rest(page) -> None:
    """Wait until what slides in or unfolds has its place: it begins within half a second, and is waited for until it ends."""
    page.wait_for_timeout(500)
    while page.evaluate(AT_REST):
        pass


def asked(page, part: str) -> None:
    """Wait until the address carries a part, and the grid is the answer to that address."""
    page.wait_for_function(
        """part => {
            const plain = (told) => decodeURIComponent(told).replace(/&?open=\\d+/, "").replace(/^\\?/, "");
            const grids = [...document.querySelectorAll("*")].map((node) => node.shadowRoot?.querySelector("[data-question]"));
            return plain(location.search).includes(part) && grids.some((grid) => grid && plain(grid.dataset.question) === plain(location.search));
        }""",
        arg=part,
    )
