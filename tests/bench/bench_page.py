"""The page: from Enter to the first results in the browser, warm, on the sample archive; scrolling many results; the map."""

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

import numpy as np

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


MANY, DOTS = 5_000, 100_000
SCROLLED = """async (count) => {
    const host = [...document.querySelectorAll("*")].map((node) => node.shadowRoot).find((root) => root?.part?.cards);
    const one = host.part.cards, cards = Array.from({ length: count }, (_, at) => ({ ...one[at % one.length], segment: at + 1, name: `card ${at}` }));
    host.part.update({ cards, more: false, summary: "", marked: null });
    let view = host.part.root;
    while (view && !(view.scrollHeight > view.clientHeight + 1000 && /auto|scroll/.test(getComputedStyle(view).overflowY))) view = view.parentElement ?? view.getRootNode().host;
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    for (let at = 0; at < 30; at++) await frame();
    const before = performance.memory.usedJSHeapSize, began = performance.now();
    let frames = 0;
    while (performance.now() - began < 5000) { view.scrollTop += 60; frames++; await frame(); }
    return [(frames * 1000) / (performance.now() - began), Math.max(0, (performance.memory.usedJSHeapSize / before - 1) * 100)];
}"""
"""Scrolls a grid of so many cards for five seconds: frames a second, and by how many percent the scripts' memory has grown."""
MOVED = """async () => {
    const { part } = [...document.querySelectorAll("*")].map((node) => node.shadowRoot).find((root) => root?.part?.canvas);
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    part.zoom(2);
    await frame();
    const began = performance.now();
    let frames = 0;
    while (performance.now() - began < 3000) { part.move(frames % 120 < 60 ? 7 : -7, 3 * Math.sin(frames / 20)); await frame(); frames++; }
    return (frames * 1000) / (performance.now() - began);
}"""
"""Moves the map for three seconds: frames a second."""


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
            frames, grown = page.evaluate(SCROLLED, MANY)
            yield Figure(f"a grid of {MANY:,} results, scrolled", frames, "frames a second", least=50)
            yield Figure("memory of the browser's scripts that scrolling them adds", grown, "%", most=10)
            yield Figure(f"a map of {DOTS:,} files, moved", _map(browser, address), "frames a second", least=30)


def _map(browser: Any, address: str) -> float:
    """A map of files that nobody has: the browser alone is measured."""
    random = np.random.default_rng(1)
    places = (random.normal(random.uniform(0.15, 0.85, (40, 2))[random.integers(0, 40, DOTS)], 0.03) * 10_000).astype(int)
    told = {
        "space": "pocket", "made_at": "2026-01-01T00:00:00Z", "files": DOTS, "assets": [*range(DOTS)], "segments": [*range(DOTS)],
        "media": [("image", "video", "audio", "text")[at % 4] for at in range(DOTS)], "x": places[:, 0].tolist(), "y": places[:, 1].tolist(),
        "areas": [at % 40 for at in range(DOTS)], "named": [{"names": [f"area {at}"], "x": 250 * at, "y": 250 * at, "files": DOTS // 40} for at in range(40)],
    }  # fmt: skip
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.route("**/v1/map", lambda route: route.fulfill(json=told))
    page.goto(f"{address}/?view=map")
    page.get_by_text(f"All {DOTS:,} files are on the map.").wait_for()
    frames: float = page.evaluate(MOVED)
    page.close()
    return frames


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
