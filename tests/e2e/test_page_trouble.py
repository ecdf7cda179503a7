"""What goes wrong on the page: each is a clear sentence, nothing is lost, and the service stays up."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import SAMPLE, Served, asked, at_rest, cards, index
from tests.e2e.test_page_open import opened


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of many pictures, a sound and a text."""
    folder = tmp_path_factory.mktemp("trouble") / "media"
    (folder / "many").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(90):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / "many" / f"noise-{number:02}.png")
    shutil.copy(SAMPLE / "images/husky.jpg", folder)
    shutil.copy(SAMPLE / "sounds/dog-bark.ogg", folder)
    return folder


@pytest.fixture(scope="module")
def tight(place, tmp_path_factory):
    """A service with little room for uploads."""
    home = tmp_path_factory.mktemp("tight") / "home"
    assert index(home, place) == 92
    service = Served(home, place, upload_bytes=300_000, upload_quota=400_000)
    yield service
    service.stop()
    assert "Traceback" not in service.log.read_text(), service.log.read_text()


def choose(page, *files) -> None:
    page.locator("input[type=file]").set_input_files([*files])


def picture(size: int, name: str = "large.png") -> dict[str, object]:
    """A picture of at least so many bytes."""
    return {"name": name, "mimeType": "image/png", "buffer": (SAMPLE / "images/rooster.png").read_bytes().ljust(size, b"\0")}


def still_answers(page) -> None:
    page.get_by_label("What to look for", exact=True).first.fill("a dog")
    page.keyboard.press("Enter")
    asked(page, "q=a+dog")
    assert cards(page)


def test_an_upload_that_is_too_large_is_told_with_its_limit(tight, open_page):
    page = open_page(tight.address)
    choose(page, picture(400_000))
    page.get_by_text(re.compile(r"^large\.png: .*at most .* MB")).wait_for()
    still_answers(page)


def test_a_full_folder_of_uploads_is_told_and_what_was_added_stays(tight, open_page):
    page = open_page(tight.address)
    choose(page, picture(250_000, "first.png"))
    asked(page, "first.png")
    choose(page, picture(251_000, "second.png"))
    page.get_by_text(re.compile(r"^second\.png: .*upload_quota allows")).wait_for()
    assert page.locator(".chip .label").all_text_contents() == ["first.png"]
    still_answers(page)


def test_an_upload_that_is_cut_is_told_and_can_be_sent_again(tight, open_page):
    page = open_page(tight.address, own=True)
    page.route("**/v1/uploads?*", lambda route: route.abort("connectionreset"))
    choose(page, SAMPLE / "images/espresso-cup.jpg")
    page.get_by_text(re.compile(r"^espresso-cup\.jpg: The service does not answer")).wait_for()
    page.unroute("**/v1/uploads?*")
    still_answers(page)


@pytest.mark.parametrize(
    ("name", "content"), [("list.mp4", b"#EXTM3U\n/etc/passwd\n"), ("page.svg", b"<svg onload='alert(1)'/>"), ("empty.jpg", b"")]
)
def test_a_hostile_upload_is_refused_in_a_sentence(tight, open_page, name, content):
    page = open_page(tight.address)
    choose(page, {"name": name, "mimeType": "application/octet-stream", "buffer": content})
    page.get_by_text(re.compile(rf"^{re.escape(name)}: \w+")).wait_for()
    still_answers(page)


def test_a_file_that_has_changed_is_said(tight, open_page, place):
    sound = place / "dog-bark.ogg"
    before = sound.stat()
    page = open_page(f"{tight.address}/?q=a+dog+barking&in=audio")
    names = cards(page)
    os.utime(sound, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    try:
        opened(page, names[0])
        page.get_by_text("The file has changed.").wait_for()
        page.get_by_text("Index its folder again").first.wait_for()
    finally:
        os.utime(sound, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_more_is_shown_as_the_end_comes_into_sight(tight, open_page):
    page = open_page(f"{tight.address}/?q=noise&in=image")
    assert len(cards(page)) == 60
    page.locator("a[data-at]").last.focus()
    asked(page, "more=1")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((node) => node.shadowRoot?.querySelectorAll('a[data-at]').length > 60)"
    )
    assert len(cards(page)) == 91
    assert page.get_by_role("button", name="Show more").count() == 0


def test_a_second_job_on_a_folder_is_refused_in_a_sentence(place, open_page, tmp_path):
    service = Served(tmp_path / "home", place, decoders=1, encoders=1)
    try:
        page = open_page(f"{service.address}/?view=library")
        page.get_by_text("Add a folder").click()
        at_rest(page)
        page.get_by_label("Folder", exact=True).fill("many")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("button", name="Stop").wait_for()
        other = open_page(f"{service.address}/?view=library")
        other.get_by_text("Add a folder").click()
        at_rest(other)
        other.get_by_label("Folder", exact=True).fill("many")
        other.get_by_role("button", name="Add", exact=True).click()
        other.get_by_text(re.compile(r"Job 1 is (queued|running) on it\.")).wait_for()
        page.get_by_text(re.compile("many done: 90 files indexed")).wait_for()
    finally:
        service.stop()


def test_one_failed_file_is_tried_again_alone(place, open_page, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(place / "husky.jpg", media)
    for name in ("one.jpg", "two.jpg"):
        (media / name).write_bytes(b"\xff\xd8\xff\xe0 no picture follows " + name.encode())
    index(tmp_path / "home", media)
    service = Served(tmp_path / "home", media)
    try:
        page = open_page(f"{service.address}/?view=library")
        page.get_by_text("Which files").click()
        page.get_by_role("button", name="Retry one.jpg").click()
        page.get_by_text(re.compile(r"Retry done: 0 files indexed, 1 failed")).wait_for()
        page.get_by_role("button", name="Retry", exact=True).first.click()
        page.get_by_text(re.compile(r"Retry done: 0 files indexed, 2 failed")).wait_for()
    finally:
        service.stop()
