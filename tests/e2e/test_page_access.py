"""Every view for those who use a keyboard or hear the page: all is reached by keys, and has a name."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import SHOTS, asked, at_rest, cards
from tests.scripts import FOCUSED, NAMELESS


def focused(page) -> str:
    """What keys go to: its name, or its words."""
    label = "node.getAttribute('aria-label') || node.labels?.[0]?.innerText || node.innerText || node.tagName"
    return page.evaluate(f"(() => {{ const node = ({FOCUSED})(); return ({label}).trim() }})()")


def tab_to(page, name: str) -> None:
    """Press Tab until something of this name is reached."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if re.fullmatch(name, passed[-1], re.DOTALL):
            return
    raise AssertionError(f"{name} is not among {passed}")


def unfold(page, content) -> None:
    """Press Enter and wait for what it opens: Tab passes over what is not there yet."""
    page.keyboard.press("Enter")
    content.wait_for()
    at_rest(page)


def home(page):
    cards(page)


def look(page):
    cards(page)
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Folder", exact=True).wait_for()


def adding(page):
    page.get_by_role("button", name="Add a picture, sound or video").click()
    page.get_by_text("Record a sound").wait_for()


def nothing(page):
    page.get_by_text("Nothing found.").wait_for()


def library(page):
    page.get_by_text("Which files").click()
    page.get_by_text("images/broken.jpg").wait_for()
    page.get_by_text("Add a folder").click()
    page.get_by_label("Collection", exact=True).wait_for()
    at_rest(page)  # it unfolds


def opened(page):
    cards(page)
    page.locator("a[data-at]").first.click()
    page.get_by_role("dialog").locator(".stage").wait_for()
    at_rest(page)  # it slides in


VIEWS = {
    "home": ("", home), "adding": ("?q=a+dog", adding), "nothing": ("?q=a+dog&since=2090-01-01", nothing), "library": ("?view=library", library),
    "look": ("?q=a+dog&with=text~-0.5~in+the+snow&in=image,video&group=moments", look), "video": ("?q=a+dog&in=video", opened),
    "sound": ("?q=a+dog&in=audio", opened), "text": ("?q=coffee&in=text", opened), "image": ("?q=a+dog&in=image", opened),
}  # fmt: skip


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("view", VIEWS)
def test_everything_has_a_name_and_nothing_is_cut_off(served, open_page, view, width):
    """By day and by night: a page changes between them as it stands, and begins by night on a phone."""
    address, reach = VIEWS[view]
    schemes = ["dark", "light"] if width < 500 else ["light", "dark"]
    page = open_page(f"{served.address}/{address}", width=width, height=844 if width < 500 else 1000, dark=schemes[0] == "dark")
    reach(page)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("scheme => matchMedia(`(prefers-color-scheme: ${scheme})`).matches", scheme)
        assert page.evaluate(NAMELESS) == [], scheme
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), scheme
        if SHOTS:
            page.wait_for_timeout(700)
        open_page.shoot(page, scheme)


def test_a_keyboard_alone_leads_through_every_view(served, open_page):
    page = open_page(served.address)
    cards(page)
    page.keyboard.press("/")
    page.keyboard.type("a dog")
    page.keyboard.press("Enter")
    asked(page, "q=a+dog")
    page.keyboard.press("/")
    tab_to(page, "Videos")
    page.keyboard.press("Space")
    asked(page, "in=video")
    tab_to(page, "Filters")
    unfold(page, page.get_by_label("Folder", exact=True))
    tab_to(page, "Folder")
    page.keyboard.type("videos")
    page.keyboard.press("Enter")
    asked(page, "under=videos")

    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    first = focused(page)
    assert first.startswith("video pets.mp4")
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith(f"video {cards(page)[1]}")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").locator(".stage").wait_for()
    tab_to(page, "More like this")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("dialog").get_by_role("heading", name="pets.mp4").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function(f"() => ({FOCUSED})().matches('a[data-at]')")  # back at the card that was open
    assert focused(page) == first
    page.keyboard.press("+")
    asked(page, "~video~")

    page.keyboard.press("/")
    tab_to(page, "Remove pets.mp4")
    tab_to(page, "Library")
    page.keyboard.press("Enter")
    page.get_by_text("What failed").wait_for()
    tab_to(page, ".*Add a folder")
    unfold(page, page.get_by_label("Collection", exact=True))
    tab_to(page, "Folder")
    tab_to(page, "Rescan")
    tab_to(page, "Which files")
    unfold(page, page.get_by_role("button", name="Retry images/broken.jpg"))
    tab_to(page, "Retry images/broken.jpg")
    tab_to(page, "video .*")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").locator(".stage").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
