"""Judging on the page: a file is right or wrong, and a random sample of the others tells how many may be left."""

from __future__ import annotations

import re

from tests.e2e.conftest import asked, cards
from tests.e2e.test_page_open import opened

QUESTION = "a+husky+in+the+snow"


def close(page) -> None:
    """Close the dialog, and wait until the page knows."""
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function("() => !location.search.includes('open=')")


def test_a_file_is_judged_shown_so_and_taken_back(served, open_page):
    page = open_page(f"{served.address}/?q={QUESTION}")
    name = cards(page)[0]
    dialog = opened(page, name)
    right = dialog.get_by_role("button", name="Right", exact=True)
    right.click()
    dialog.locator('.judging button[aria-pressed="true"]').wait_for()
    open_page.shoot(page, "judged")
    close(page)
    card = page.locator(".card").filter(has_text=name).first
    card.locator(".judged.right").wait_for()
    assert "1 file judged, 1 right" in page.locator(".summary").text_content()
    open_page.shoot(page, "answer")
    dialog = opened(page, name)
    dialog.locator('.judging button[aria-pressed="true"]').click()
    dialog.locator('.judging button[aria-pressed="true"]').wait_for(state="detached")
    close(page)
    page.locator(".card .judged").wait_for(state="detached")


def test_a_random_sample_is_judged_file_by_file(served, open_page):
    page = open_page(f"{served.address}/?q=a+cup+of+coffee&in=image")
    cards(page)
    page.get_by_role("link", name="Check a random sample").click()
    asked(page, "sample=1")
    seen = []
    for number in range(3):
        (name,) = cards(page)
        seen.append(name)
        page.get_by_role("button", name="Wrong", exact=True).click()
        page.locator(".summary").filter(has_text=re.compile(f"{number + 1} files? judged")).wait_for()
    assert len(set(seen)) == 3
    assert re.search(r"3 of \d+ were drawn at random: at most \d+ right files left", page.locator(".summary").text_content())
    page.get_by_role("link", name="Back to the answer").click()
    page.locator(".card .judged.wrong").first.wait_for()
    assert page.locator(".card .judged.wrong").count() == 3


def test_a_question_by_picture_is_not_judged(served, open_page):
    page = open_page(f"{served.address}/?q={QUESTION}")
    dialog = opened(page, cards(page)[0])
    dialog.get_by_role("button", name="More like this").click()
    asked(page, "with=segment~")
    assert page.get_by_role("link", name="Check a random sample").count() == 0
    assert opened(page, cards(page)[0]).locator(".judging").count() == 0
