"""Look: the grid."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import asked, at_rest, cards
from tests.scripts import TWO_HUNDRED


def card(page, name: str):
    return page.locator(".card").filter(has_text=name)


def test_a_card_shows_picture_name_span_channel_and_band(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&channel=visual")
    video = card(page, "pets.mp4")
    assert re.search(r"0:0\d.* – 0:0\d", video.locator(".where").text_content())
    assert "visual" in video.locator(".where").text_content()
    assert video.locator(".band").get_attribute("title") in {"strong match", "good match", "fair match", "weak match"}
    assert video.locator("img").get_attribute("alt").startswith("video pets.mp4, ")
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].flatMap((node) => [...(node.shadowRoot?.querySelectorAll(".shot img") ?? [])])
            .slice(0, 4).every((image) => image.complete && image.naturalWidth > 0)"""
    )


def test_a_sound_shows_its_wave_and_a_text_its_words(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    wave = card(page, "dog-bark.ogg").locator("img")
    wave.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 0", arg=wave.element_handle())
    assert "puppy" in card(page, "training-a-young-dog.md").locator(".quote").text_content()


def test_hovering_a_video_plays_its_sprite(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    card(page, "pets.mp4").locator(".shot").hover()
    film = card(page, "pets.mp4").locator(".sprite")
    film.wait_for()
    first = film.get_attribute("data-frame")
    card(page, "pets.mp4").locator(f'.sprite:not([data-frame="{first}"])').wait_for()
    open_page.shoot(page, "hovering")
    assert "preview" in film.evaluate("film => film.style.backgroundImage")
    page.mouse.move(5, 5)
    film.wait_for(state="detached")


def test_moments_of_one_file_are_one_card_with_a_strip(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    assert len(set(cards(page))) == len(cards(page))
    marks = card(page, "pets.mp4").locator(".strip i")
    assert marks.count() >= 2
    lefts = [mark.evaluate("mark => parseFloat(mark.style.left)") for mark in marks.all()]
    assert max(lefts) > 0  # the dog comes second in it
    page.get_by_role("button", name="By moment").click()
    asked(page, "group=moments")
    assert cards(page).count("pets.mp4") >= 2


def test_two_hundred_cards_are_drawn_and_the_last_is_reached(served, open_page):
    """Drawn from made-up data in the part itself."""
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    page.evaluate(TWO_HUNDRED)
    assert page.locator("a[data-at]").count() == 200
    page.mouse.wheel(0, 20_000)
    page.get_by_text("card 199", exact=True).wait_for()


def test_nothing_found_says_so_and_what_to_try(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&since=2090-01-01")
    page.get_by_text("Nothing found.").wait_for()
    page.get_by_text("simpler words").wait_for()
    open_page.shoot(page, "said")
    page.get_by_role("button", name="Search without filters").click()
    asked(page, "q=a+dog")
    assert cards(page)


def test_what_cannot_be_found_is_said_beside_the_answer_and_leads_to_why(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&since=2090-01-01")
    page.get_by_text("Nothing found.").wait_for()
    page.get_by_text("16 of 17 files searchable, 1 failed").wait_for()
    page.goto(f"{served.address}/?q=a+dog")
    cards(page)
    page.get_by_role("link", name="16 of 17 files searchable, 1 failed").click()
    page.get_by_text("What failed").wait_for()
    assert page.url.endswith("?view=library")
    page.go_back()
    asked(page, "q=a+dog")
    assert "pets.mp4" in cards(page)


def test_keys_lead_through_the_page(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=image")
    names = cards(page)
    page.keyboard.press("/")
    focused = (
        "() => { let node = document.activeElement; while (node?.shadowRoot) node = node.shadowRoot.activeElement; return node }"
    )
    assert page.evaluate(f"({focused})().getAttribute('aria-label')") == "What to look for"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert names[1] in page.evaluate(f"({focused})().getAttribute('aria-label')")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    asked(page, f"~image~{names[0]}")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1600, True), (1600, False)])
def test_the_page_fits_and_follows_light_and_dark(served, open_page, width, dark):
    page = open_page(f"{served.address}/?q=a+dog", width=width, height=844, dark=dark)
    cards(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    light = page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    )
    assert (light < 200) == dark
    assert page.locator("img:not([alt])").count() == 0
    for chrome in ("stToolbar", "stDeployButton", "stMainMenu"):
        assert not page.get_by_test_id(chrome).is_visible()
    open_page.shoot(page, "grid")
    page.locator("a[data-at]").first.click()
    page.locator(".stage").wait_for()
    at_rest(page)  # it slides in
    box = page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
