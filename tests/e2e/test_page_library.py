"""Library, the empty archive, and the service being away."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.e2e.conftest import SAMPLE, Served, asked, at_rest, cards, index
from tests.waiting import until


@pytest.fixture(scope="module")
def harbour(tmp_path_factory):
    """A root with one small folder in it."""
    root = tmp_path_factory.mktemp("more")
    (root / "harbour").mkdir()
    for file in ("images/seagull.jpg", "images/jetty.avif", "texts/gulls-at-the-beach.txt"):
        shutil.copy(SAMPLE / file, root / "harbour")
    return root


@pytest.fixture
def empty(harbour, tmp_path):
    service = Served(tmp_path / "home", harbour)
    yield service
    service.stop()


@pytest.fixture
def little(harbour, tmp_path):
    assert index(tmp_path / "home", harbour / "harbour") == 3
    service = Served(tmp_path / "home", harbour)
    yield service
    service.stop()


def test_the_library_counts_and_says_what_failed_and_what_is_new(served, open_page):
    page = open_page(f"{served.address}/?view=library")
    page.get_by_text("What failed").wait_for()
    counts = page.locator(".counts").inner_text()
    assert [int(number) for number in re.findall(r"\d+", counts)] == [6, 3, 3, 4]
    assert page.get_by_text("16 of 17 files searchable, 1 failed").count() == 1
    page.get_by_role("heading", name="Recently added").wait_for()
    assert page.get_by_role("heading").all_inner_texts() == ["Sensorium", "Collections", "What failed", "Recently added"]
    page.get_by_text("Which files").click()
    page.get_by_text("images/broken.jpg").wait_for()
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_text(re.compile(r"done: 0 files indexed, 1 failed")).wait_for()
    assert len(cards(page)) == 16
    page.locator("a[data-at]").first.click()
    page.get_by_role("dialog").wait_for()


def test_an_empty_archive_says_how_to_fill_it_and_takes_a_folder(empty, open_page):
    page = open_page(empty.address)
    page.get_by_text("The archive is empty").wait_for()
    page.get_by_role("button", name="Try it with the sample archive").wait_for()
    page.get_by_text("Add a folder").click()
    page.get_by_label("Folder", exact=True).fill("../..")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text(re.compile("outside the|under the configured roots")).first.wait_for()
    open_page.shoot(page, "refused")
    page.get_by_label("Folder", exact=True).fill("harbour")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text(re.compile("harbour")).first.wait_for()
    names = {"seagull.jpg", "jetty.avif", "gulls-at-the-beach.txt"}
    until(
        lambda: set(cards(page)) == names, lambda: cards(page)
    )  # they come as they are indexed, and the grid is drawn anew each time
    page.get_by_label("What to look for", exact=True).first.fill("a bird")
    page.keyboard.press("Enter")
    asked(page, "q=a+bird")
    assert "seagull.jpg" in cards(page)[:2]


def test_a_folder_is_added_with_live_progress(little, open_page):
    page = open_page(f"{little.address}/?view=library")
    page.get_by_text("Add a folder").click()
    at_rest(page)  # the form unfolds; the list closes when what it hangs on moves
    page.get_by_role("combobox", name="Root").click()
    page.get_by_role("option", name="sample").click()
    page.get_by_label("Collection", exact=True).fill("sample")
    page.get_by_role("button", name="Add", exact=True).click()
    running = page.locator(".st-key-progress").filter(has=page.get_by_role("button", name="Stop"))
    running.filter(has_text=re.compile(r"sample: \d+ of \d+, .* files a second, .* left")).wait_for()
    open_page.shoot(page, "running")
    page.get_by_text(re.compile(r"sample done: \d+ files indexed")).wait_for()
    page.get_by_text(re.compile("47 images")).first.wait_for()  # in the line of its collection
    assert page.get_by_text("searchable").count() == 0  # nothing is hidden


def test_the_service_being_away_is_said_and_the_page_recovers(little, open_page):
    page = open_page(f"{little.address}/?q=a+bird")
    before = cards(page)
    box = page.get_by_label("What to look for", exact=True).first
    little.stop()
    page.get_by_text("Connection lost.").wait_for()
    open_page.shoot(page, "away")
    box.fill("gulls")
    little.start()
    page.get_by_text("Connection lost.").wait_for(state="detached")
    cards(page)
    assert box.input_value() == "gulls"  # what was typed meanwhile is still there
    box.press("Enter")
    asked(page, "q=gulls")
    assert set(cards(page)) == set(before)
