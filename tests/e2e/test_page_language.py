"""The page in the language of the browser, or in the one that was chosen."""

from __future__ import annotations


def test_the_page_speaks_the_browser_s_language_until_another_is_chosen(served, open_page):
    page = open_page(f"{served.address}/?q=dog", locale="de-AT")
    page.get_by_role("button", name="Suchen", exact=True).wait_for()
    page.get_by_role("link", name="Bibliothek").wait_for()
    page.locator(".summary").filter(has_text="durchsucht").wait_for()
    assert page.locator("html").get_attribute("lang") == "de"
    assert "passend: etwa" in page.locator(".summary").first.text_content()
    open_page.shoot(page, "german")
    page.get_by_role("button", name="Tasten").click()
    page.get_by_label("Sprache").select_option("sv")
    page.get_by_role("button", name="Sök", exact=True).wait_for()
    page.locator(".summary").filter(has_text="genomsökta").wait_for()
    assert page.locator("html").get_attribute("lang") == "sv"
    assert page.title() == "dog · Sensorium"
