"""The menu of a card, by the keyboard and by a right click; the map of the archive, from its making to a question."""

from __future__ import annotations

import re

from tests.scripts import FOCUSED

LABEL = f"(({FOCUSED})() ?? document.body).textContent"


def test_a_card_s_menu_is_used_by_keys_and_by_a_right_click(served, open_page):
    page = open_page(f"{served.address}/?q=dog")
    card = page.locator(".card a[data-at='0']")
    card.focus()
    page.keyboard.press("Shift+F10")
    menu = page.get_by_role("menu")
    menu.wait_for()
    open_page.shoot(page, "menu")
    assert menu.get_by_role("menuitem").all_text_contents() == [
        "Open", "More like this", "Less like this", "Closer to it", "Not like this", "Add to search", "Collect", "Mark", "Select", "Copy link",
    ]  # fmt: skip
    assert page.evaluate(LABEL) == "Open"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(LABEL) == "Copy link"
    page.keyboard.press("s")
    assert page.evaluate(LABEL) == "Select"
    page.keyboard.press("Enter")
    page.locator(".card.chosen").wait_for()
    page.keyboard.press("Shift+F10")
    menu.get_by_role("menuitem", name="Take out of the selection").wait_for()
    page.keyboard.press("Escape")
    menu.wait_for(state="hidden")
    assert page.evaluate(f"({FOCUSED})().dataset.at") == "0"
    page.locator(".card a[data-at='1']").click(button="right")
    menu.get_by_role("menuitem", name="Less like this").click()
    page.wait_for_url(re.compile(r"with=segment~\d+~-0\.5"))


def test_a_map_is_made_and_an_area_of_it_becomes_a_question(served, open_page):
    page = open_page(f"{served.address}/?view=map")
    page.get_by_role("button", name="Make a map").click()
    page.get_by_text("All 16 files are on the map.").wait_for()
    page.get_by_role("list", name="Areas of the map").get_by_role("button").first.click()
    page.get_by_text("16 selected").wait_for()
    open_page.shoot(page, "map")
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("application", name="Map of the archive").focus()
    before = page.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "([canvas, before]) => canvas.toDataURL() !== before", arg=[page.locator("canvas").first.element_handle(), before]
    )
    page.keyboard.press("0")
    for _ in range(5):
        page.keyboard.press("-")
    page.keyboard.press("Enter")
    page.get_by_text("16 selected").wait_for()
    page.get_by_role("button", name="More like these").click()
    page.wait_for_url(re.compile(r"\?with=segment"))
