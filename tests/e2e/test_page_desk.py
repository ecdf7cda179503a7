"""The page as a desk: the place is kept, the keyboard does everything, what was found is collected and handed on."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import asked, cards
from tests.waiting import LONG, until

FOCUS = "() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at; }"
MAIN = "document.querySelector('[data-testid=stMain]')"


def focused(page) -> str:
    """The name of what has the focus."""
    return page.evaluate(f"() => {{ const at = ({FOCUS})(); return at.getAttribute('aria-label') ?? at.textContent; }}")


def test_the_place_is_kept_while_a_question_grows_and_a_new_one_begins_at_the_top(served, open_page):
    page = open_page(served.address, height=500)
    page.locator("a[data-at]").first.wait_for()
    assert all(page.locator("a[data-at]").evaluate_all("links => links.map((one) => /open=\\d+/.test(one.getAttribute('href')))"))
    assert page.locator("h1").count() == 1
    page.get_by_role("button", name="Videos", exact=True).click()
    page.wait_for_function("() => location.search.includes('in=video')")
    page.locator(".card").nth(2).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].flatMap((one) => [...(one.shadowRoot?.querySelectorAll('.shot') ?? [])]).every((one) => one.classList.contains('video'))"
    )
    until(lambda: focused(page) == "Videos", lambda: focused(page))

    page.evaluate(f"{MAIN}.scrollTop = 200")
    assert page.locator(".box input.words").bounding_box()["y"] >= 0  # the bar stays in sight
    page.keyboard.press("/")
    page.keyboard.type("a dog")
    page.keyboard.press("Enter")
    asked(page, "q=a+dog")
    page.wait_for_function(f"() => {MAIN}.scrollTop === 0")

    page.locator("a[data-at]").first.focus()
    page.keyboard.press("+")
    asked(page, "with=segment")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Folder", exact=True).wait_for()
    assert page.locator("datalist#folders option").evaluate_all("found => found.map((one) => one.value)") == [
        "images",
        "sounds",
        "texts",
        "videos",
    ]
    weight = page.get_by_label("Weight of the text")
    weight.focus()
    for told in ("0.9", "0.8", "0.7"):
        page.keyboard.press("ArrowLeft")
        asked(page, f"weight={told}")
        until(lambda: focused(page) == "Weight of the text", lambda: focused(page))


def test_the_archive_is_narrowed_by_the_rail_and_by_months_with_the_keyboard_and_widened_again(served, open_page):
    page = open_page(served.address)
    page.locator("a[data-at]").first.wait_for()
    rail = page.get_by_role("region", name="Filters")
    images = rail.get_by_role("link", name="Images 6 files", exact=True)
    images.wait_for()
    page.keyboard.press("f")
    page.wait_for_function(f"() => ({FOCUS})().matches('summary')")
    page.keyboard.press("ArrowDown")
    until(lambda: focused(page) == "Images 6 files", lambda: focused(page))
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.search.includes('in=image')")
    rail.get_by_role("link", name="Images chosen 6 files", exact=True).wait_for()
    page.get_by_text("6 files · Newest first").wait_for()
    until(lambda: focused(page) == "Images chosen 6 files", lambda: focused(page))
    assert page.locator(".card .shot:not(.image)").count() == 0
    page.keyboard.press("Enter")  # and off again
    page.wait_for_function("() => !location.search.includes('in=')")
    rail.get_by_role("link", name="sounds 3 files", exact=True).click()
    asked(page, "under=sounds")
    page.get_by_text("3 files · Newest first").wait_for()
    rail.get_by_role("link", name="All folders", exact=True).click()
    page.wait_for_function("() => !location.search.includes('under')")
    page.get_by_text(re.compile("6 images, 3 videos, .* · Newest first")).wait_for()

    page.goto(served.address)  # the bars of the folder may stand there for a moment longer
    bars = page.get_by_role("group", name="Files by month")
    bars.get_by_role("button").first.wait_for()
    box, count = bars.bounding_box(), bars.get_by_role("button").count()
    assert count > 1
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (count - 1.5) / count, box["y"] + 20, steps=4)  # all but the last
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('since=') && location.search.includes('until=')")
    page.get_by_role("group", name="Files by month").locator("button.on").nth(count - 2).wait_for()
    assert bars.locator("button.on").count() == count - 1
    open_page.shoot(page, "months")
    page.get_by_role("button", name=re.compile("Remove the filter since")).click()
    page.get_by_role("button", name=re.compile("Remove the filter until")).click()
    page.wait_for_function("() => !location.search.includes('until=')")
    page.get_by_label("Order").select_option("size")
    page.get_by_text(re.compile("6 images, 3 videos, .* · Largest first")).wait_for()


def test_an_answer_is_shown_in_lanes_and_each_lane_as_a_whole(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    page.get_by_role("button", name="Lanes", exact=True).click()
    asked(page, "lanes=1")
    page.locator(".lane").nth(3).wait_for()
    assert page.locator(".lane h3").evaluate_all("all => all.map((one) => one.firstChild.textContent)") == [
        "Pictures",
        "Video",
        "Sounds",
        "Said and written",
    ]
    assert page.locator(".lane").first.locator(".name").first.text_content() == "husky.jpg"
    page.locator("a[data-at]").first.focus()
    page.keyboard.press("ArrowDown")
    until(lambda: focused(page).startswith("video pets.mp4"), lambda: focused(page))
    page.keyboard.press("x")
    page.get_by_text("1 selected").wait_for()
    open_page.shoot(page, "lanes")
    page.get_by_role("link", name="Show all: Sounds").click()
    asked(page, "channel=sound")
    assert {name.rpartition(".")[2] for name in cards(page)} <= {"ogg", "wav", "m4a", "mp4", "webm"}
    assert page.get_by_role("button", name="Remove the filter sound channel").count() == 1


def test_what_follows_is_a_second_row_and_its_text_form_one_press_away(served, open_page):
    page = open_page(served.address)
    page.locator("a[data-at]").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("lightning")
    page.get_by_role("button", name="Then: what follows in time").click()
    until(lambda: focused(page) == "What follows", lambda: focused(page))
    page.keyboard.type("rain")
    page.keyboard.press("Enter")
    asked(page, '="lightning"+~30s>+"rain"')
    assert cards(page)[0] == "storm.webm"
    open_page.shoot(page, "then")
    page.reload()
    assert cards(page)[0] == "storm.webm"
    box = page.get_by_role("textbox", name="What to look for")
    assert (box.input_value(), page.get_by_role("textbox", name="What follows").input_value()) == ("lightning", "rain")
    page.get_by_role("textbox", name="and not between (optional)").fill('a "fish"')
    page.get_by_role("button", name="Text form").click()
    expect(box).to_have_value('="lightning" ~30s> "rain" -"a \\"fish\\""', timeout=LONG * 1000)
    page.get_by_role("button", name="Then: what follows in time").click()
    expect(page.get_by_role("textbox", name="and not between (optional)")).to_have_value('a "fish"', timeout=LONG * 1000)


def tasks() -> dict[str, tuple[str, list[str]]]:
    """The tasks of ``tasks.md``: where each begins, and its keys."""
    found = {}
    for line in (Path(__file__).parent / "tasks.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3].isdecimal():
            keys = re.findall(r"`([^`]+)`", cells[2])
            assert len(keys) == int(cells[3]), line
            found[cells[0].partition(":")[0]] = cells[1].strip("`"), keys
    return found


def press(page, keys) -> None:
    for key in keys:
        if key.startswith('"'):
            page.keyboard.insert_text(key.strip('"'))
        else:
            page.keyboard.press({"↓": "ArrowDown", "→": "ArrowRight"}.get(key, key))


def test_tasks_of_an_analyst_are_done_by_the_keys_that_are_written_down(served, open_page):
    """Those that no other test does."""
    known = tasks()
    assert len(known) == 10
    page = open_page(served.address)

    def begin(name: str) -> list[str]:
        address, keys = known[name]
        page.goto(served.address + address)
        cards(page)
        page.locator(".rail summary").first.wait_for()
        return keys

    press(page, begin("like this"))
    asked(page, "with=segment")

    press(page, begin("compare"))
    asked(page, "lanes=1")
    page.locator(".lane").nth(3).wait_for()

    keys = begin("cut")
    press(page, keys[:2])
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('video')?.readyState >= 2)"
    )
    page.wait_for_function(f"() => ({FOCUS})().matches('.part')")
    press(page, keys[2:4])
    begins = page.locator(".deck [role=status]").text_content().partition(" ")[0]
    page.wait_for_function(
        "begins => [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('video')?.currentTime > Number(begins.split(':')[1]) + 0.3)",
        arg=begins,
    )
    with page.expect_download() as saved:
        press(page, keys[4:])
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert [name for name in archive.namelist() if name.endswith(".mp4")]

    keys = begin("collect")
    press(page, keys[:6])
    page.get_by_label("Name of a case").wait_for()
    press(page, keys[6:])
    page.get_by_text("2 moments added to Two dogs.").wait_for()

    keys = begin("export")
    with page.expect_download() as saved:
        press(page, keys)
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.read("a-dog.csv").count(b"\n") == 4

    press(page, begin("in time"))
    asked(page, '="lightning"+~30s>+"rain"')


def test_selected_cards_are_collected_undone_and_exported_by_the_keyboard(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    page.locator("a[data-at]").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    tray = page.get_by_role("region", name="Selected")
    tray.get_by_text("3 selected").wait_for()
    with page.expect_download() as saved:
        tray.get_by_label("Export as").select_option("json")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert len(json.loads(archive.read("a-dog.json"))["excerpts"]) == 3
    tray.get_by_role("button", name="Clear").click()
    tray.get_by_role("button", name="Undo").click()
    tray.get_by_text("3 selected").wait_for()
    tray.get_by_role("button", name="Mark").click()
    page.get_by_label("Mark with").fill("to check")
    page.keyboard.press("Enter")
    tray.get_by_text("3 files marked “to check”.").wait_for()
    counted = page.get_by_role("region", name="Filters").get_by_role("link", name="to check 3 files", exact=True)
    counted.wait_for()
    tray.get_by_role("button", name="Undo").click()
    counted.wait_for(state="detached")
    page.locator("a[data-at]").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    tray.get_by_role("button", name="Collect").click()
    page.get_by_label("Name of a case").fill("Dogs")
    page.keyboard.press("Enter")
    tray.get_by_text("3 moments added to Dogs.").wait_for()
    open_page.shoot(page, "collected")
    tray.get_by_role("link", name="Open the case").click()
    page.locator(".exhibits li").nth(2).wait_for()
    first = page.locator(".exhibits li b").first.text_content()
    page.get_by_label(f"Note on {first}").fill("barks")
    page.get_by_role("button", name=f"Move {first} down").click()
    page.wait_for_function(
        "first => [...document.querySelectorAll('*')].flatMap((one) => [...(one.shadowRoot?.querySelectorAll('.exhibits b') ?? [])])[1]?.textContent === first",
        arg=first,
    )
    open_page.shoot(page, "case")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Undone.").wait_for()
    assert page.get_by_label(f"Note on {first}").input_value() == "barks"


def test_the_player_is_driven_by_keys_wherever_the_focus_is(served, open_page):
    page = open_page(f"{served.address}/?q=a+cat&in=video")
    cards(page)
    page.locator("a[data-at]").first.press("Enter")
    player = page.locator(".stage video")
    player.wait_for()
    page.wait_for_function(f"() => {{ const at = ({FOCUS})(); return at.matches('.part'); }}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('video')?.readyState >= 2)"
    )
    paused = "node => node.paused"
    was = player.evaluate(paused)
    page.keyboard.press("Space")
    page.wait_for_function(
        "was => [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('video')?.paused === !was)",
        arg=was,
    )
    page.keyboard.press(".")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('video')?.paused)"
    )
    page.keyboard.press("i")
    page.get_by_text(re.compile(r"^\d+:\d\d\.\d – end$")).wait_for()
    page.keyboard.press(">")
    expect(page.get_by_label("Speed")).to_have_value("1.5", timeout=LONG * 1000)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    open_page.shoot(page, "keys")


def test_a_question_that_is_asked_while_the_service_is_away_is_answered_when_it_is_back(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    served.stop()
    try:
        page.get_by_text("Connection lost. Reconnecting…").wait_for()
        box = page.locator(".box input.words")
        box.fill("a cat")
        box.press("Enter")
        page.locator("a[data-at]").first.click()
        assert page.get_by_role("dialog").count() == 0
    finally:
        served.start()
    asked(page, "q=a+cat")
    assert box.input_value() == "a cat"
    assert page.get_by_role("dialog").count() == 0
