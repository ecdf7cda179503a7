"""The page: from Enter to the first results in the browser, warm, on the sample archive. Medians of fifteen."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.report import ROOT, SAMPLE, Figure, Skipped
from tests.scripts import TWO_HUNDRED

QUESTIONS = (
    "a dog", "boats at sunset", "a cup of coffee", "thunder", "an old red car", "somebody plays the guitar", "the night sky", "cat looking up",
    "rain on leaves", "a fire engine with its siren on", "birds in the forest", "farm animals", "a steam train", "waves on a beach", "a football",
)  # fmt: skip
SHOWN = """question => [...document.querySelectorAll("*")].some((node) => {
    const part = node.shadowRoot?.querySelector("[data-question]");
    return part && new URLSearchParams(part.dataset.question).get("q") === question && part.querySelector("a[data-at]");
})"""


def run() -> Iterator[Figure]:
    """Measured in the browser's own clock, from the key to the frame that shows the cards; each question is a new one."""
    with tempfile.TemporaryDirectory() as home:
        _sensorium(home, "index", str(SAMPLE)).wait()
        with _serving(home) as address, _browser() as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.goto(address)
            page.locator("a[data-at]").first.wait_for()
            _ask(page, "a picture to warm up with")
            yield Figure("Enter to the first results", median(_ask(page, question) for question in QUESTIONS), "ms", most=600)
            yield Figure("two hundred cards drawn", median(page.evaluate(TWO_HUNDRED) for _ in range(5)), "ms")


def _ask(page: Any, question: str) -> float:
    box = page.get_by_label("What to look for", exact=True).first
    box.fill(question)
    page.evaluate("() => addEventListener('keydown', () => (window.began = performance.now()), { once: true, capture: true })")
    box.press("Enter")
    page.wait_for_function(SHOWN, arg=question, polling="raf")
    took: float = page.evaluate("performance.now() - window.began")
    return took


@contextmanager
def _browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise Skipped("playwright is not installed") from None
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise Skipped("there is no Chromium here")
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@contextmanager
def _serving(home: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _sensorium(home, "serve", "--no-token", "--port", str(port))
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("the service ended before it could be called") from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _sensorium(home: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "sensorium"), *arguments]
    return subprocess.Popen(
        command, env=os.environ | {"SENSORIUM_HOME": home}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
