"""What Chromium shows and draws: frames of films at a time, and pictures."""

from __future__ import annotations

import base64
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--allow-file-access-from-files", "--force-color-profile=srgb",
)  # fmt: skip
"""Files may read each other, or no pixel of them could be read back; colours are those of sRGB, whatever the screen."""

_SHOW = """async ([address, at, settle]) => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, preload: "auto" });
    const told = (...names) => new Promise((done, failed) => {
        for (const name of names) video.addEventListener(name, done, { once: true });
        video.addEventListener("error", () => failed(new Error(video.error.message)), { once: true });
    });
    const draw = () => {
        const canvas = document.createElement("canvas");
        canvas.width = video.videoWidth; canvas.height = video.videoHeight;
        const context = canvas.getContext("2d");
        context.fillStyle = "white"; context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(video, 0, 0, canvas.width, canvas.height);
        return [canvas.width, canvas.height, canvas.toDataURL("image/png").split(",")[1]];
    };
    try {
        const loaded = told("loadeddata");
        video.src = address;
        await loaded;
        const start = video.currentTime, lasts = video.duration;
        const again = told("loadeddata");
        video.src = `${address}#t=${start + at}`;
        await again;
        if (video.seeking) await told("seeked");
        if (settle) await new Promise((done) => setTimeout(done, settle));
        return [start, lasts, ...draw()];
    } finally {
        video.removeAttribute("src"); video.load();
    }
}"""

_DRAW = """async ([address]) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0);
    return [canvas.width, canvas.height, canvas.toDataURL("image/png").split(",")[1]];
}"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on screen: ``pixels`` (H, W, 3) as displayed, over white; where the film's clock begins, and its end, in seconds."""

    pixels: np.ndarray
    start: float
    end: float | None


class Browser:
    """A page of Chromium that draws local files."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def show(self, path: Path, seconds: float, settle_ms: int = 0) -> Shown:
        """The frame that ``<video>`` shows at ``#t=``, counted from where its clock begins, as a player has to.

        On a busy machine the frame may come a moment after the events that announce it: ``settle_ms`` waits for it.

        Raises:
            ValueError: Chromium does not play it.
        """
        try:
            start, lasts, *drawn = self._page.evaluate(_SHOW, [_address(path), seconds, settle_ms])
        except Exception as error:
            raise ValueError(f"Chromium does not play {path.name}: {str(error).splitlines()[0]}") from error
        return Shown(_pixels(*drawn), start, lasts if lasts is not None and math.isfinite(lasts) else None)

    def draw(self, path: Path) -> np.ndarray:
        """What ``<img>`` shows: (H, W, 3) uint8, over white.

        Raises:
            ValueError: Chromium does not draw it.
        """
        try:
            return _pixels(*self._page.evaluate(_DRAW, [_address(path)]))
        except Exception as error:
            raise ValueError(f"Chromium does not draw {path.name}: {str(error).splitlines()[0]}") from error


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose page lies in ``folder``, so that it may read the files there.

    Raises:
        LookupError: there is no playwright or no Chromium here.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise LookupError("playwright is not installed") from None
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise LookupError("there is no Chromium here; CHROMIUM names one")
    page_file = folder / "page.html"
    page_file.write_text("<!doctype html><title>truth</title>")
    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=list(ARGS))
        page = started.new_page()
        page.goto(page_file.as_uri())
        yield Browser(page)
        started.close()


def _address(path: Path) -> str:
    return "file://" + quote(str(path))


def _pixels(width: int, height: int, png: str) -> np.ndarray:
    import io

    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    assert picture.shape == (height, width, 3)
    return picture
