"""Parts of pictures: boxes on what was found, and a thing that is cut out to search with."""

from __future__ import annotations

import shutil

from tests.e2e.conftest import SAMPLE, Served, asked, at_rest, cards, index, read


def test_a_part_is_found_shown_cut_out_and_searched_with(tmp_path, open_page):
    folder, home = tmp_path / "archive", tmp_path / "home"
    folder.mkdir()
    for name in ("fire-engine.jpg", "husky.jpg", "rooster.png", "meadow.jpg"):
        shutil.copy(SAMPLE / "images" / name, folder / name)
    assert index(home, folder) == 4
    read(home, "regions")
    service = Served(home, folder)
    try:
        page = open_page(f"{service.address}/?q=a+fire+engine", own=True)
        cards(page)
        assert page.locator(".shot .region").count() == 0
        page.get_by_role("button", name="Parts of pictures").click()
        asked(page, "region=1")
        card = page.locator(".card").filter(has_text="fire-engine.jpg")
        box, shot = card.locator(".region").bounding_box(), card.locator(".shot").bounding_box()
        assert shot["x"] <= box["x"] < box["x"] + box["width"] <= shot["x"] + shot["width"]
        assert 0.2 < box["width"] / shot["width"] < 0.9
        open_page.shoot(page, "cards")
        card.locator("a[data-at]").click()
        page.locator(".screen > .region").wait_for()
        at_rest(page)
        page.keyboard.press("b")
        page.locator(".screen > .region").wait_for(state="hidden")
        page.keyboard.press("b")
        page.locator(".screen > .region").wait_for()
        page.keyboard.press("c")
        sheet = page.locator(".sheet")
        sheet.wait_for()
        at = sheet.bounding_box()
        page.mouse.move(at["x"] + at["width"] * 0.2, at["y"] + at["height"] * 0.25)
        page.mouse.down()
        page.mouse.move(at["x"] + at["width"] * 0.9, at["y"] + at["height"] * 0.9, steps=4)
        page.mouse.up()
        page.get_by_text("Told apart by its colours.").wait_for()
        assert page.locator(".sheet .mask").evaluate("mask => getComputedStyle(mask).maskImage").startswith('url("data:image/png')
        open_page.shoot(page, "box")
        page.get_by_role("button", name="Start again").click()
        sheet.click(position={"x": at["width"] * 0.5, "y": at["height"] * 0.5})
        page.get_by_text("Told apart by its colours.").wait_for()
        assert page.locator(".sheet .dot").count() == 1
        open_page.shoot(page, "click")
        page.get_by_role("button", name="Search by this thing").click()
        asked(page, "with=upload~")
        chip = page.locator(".chip").filter(has_text="part of fire-engine.jpg")
        assert chip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert cards(page)
        open_page.shoot(page, "asked")
    finally:
        service.stop()
