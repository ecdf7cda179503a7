"""Ask: text, files, the microphone, the camera; pieces with weights; toggles, filters, the address, what was asked before."""

from __future__ import annotations

import base64
import re

from tests.e2e.conftest import SAMPLE, asked, cards

PASTE = """([data, name, type]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  return carried;
}"""


def box(page):
    return page.get_by_label("What to look for", exact=True).first


def carried(page, file: str, kind: str):
    data = base64.b64encode((SAMPLE / file).read_bytes()).decode()
    return page.evaluate_handle(PASTE, [data, file.rpartition("/")[2], kind])


def fire(page, event: str, file: str, kind: str) -> None:
    page.evaluate(
        """([event, carried]) => document.body.dispatchEvent(event === "paste"
            ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
            : new DragEvent(event, { dataTransfer: carried, bubbles: true, cancelable: true }))""",
        [event, carried(page, file, kind)],
    )


def test_enter_searches_and_the_address_says_what(served, open_page):
    page = open_page(served.address)
    box(page).fill("a cup of coffee")
    box(page).press("Enter")
    asked(page, "q=a+cup+of+coffee")
    page.get_by_text(re.compile(r"^\d+ files? · \d+ segments searched · ")).wait_for()
    assert {"espresso-cup.jpg", "coffee-at-home.md"} <= set(cards(page)[:4])


def test_a_link_opens_the_same_question(served, open_page):
    page = open_page(f"{served.address}/?q=boats+at+sunset&in=image")
    assert cards(page)[0] == "rowing-boats-sunset.jpg"
    assert box(page).input_value() == "boats at sunset"
    assert page.get_by_role("button", name="Images").get_attribute("aria-pressed") == "true"


def test_a_question_of_several_parts_is_searched_in_steps_which_can_be_skipped_and_asked_alone(served, open_page):
    page = open_page(f"{served.address}/?q=a+beach+without+people")
    page.get_by_role("link", name="Search its parts one by one").click()
    asked(page, "plan=1")
    steps = page.get_by_role("list", name="Steps of this search").get_by_role("listitem")
    assert re.match(r'anything like"a beach"90% useful × \d+% possible', steps.first.text_content() or "")
    assert cards(page)
    steps.nth(1).get_by_role("link", name="Skip").click()
    asked(page, "skip=2")
    steps.nth(1).get_by_role("link", name="Take").wait_for()
    steps.first.get_by_role("link", name='"a beach"').click()
    asked(page, 'q=="a+beach"')
    assert "plan" not in page.url
    assert box(page).input_value() == '="a beach"'


def test_back_returns_to_the_question_before(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    first = cards(page)
    box(page).fill("boats at sunset")
    box(page).press("Enter")
    asked(page, "q=boats")
    page.go_back()
    asked(page, "q=a+dog")
    assert cards(page) == first
    assert box(page).input_value() == "a dog"


def test_a_chosen_picture_becomes_a_piece_and_searches(served, open_page):
    page = open_page(served.address)
    page.locator("input[type=file]").set_input_files(SAMPLE / "images/husky.jpg")
    asked(page, "with=upload~")
    assert "husky.jpg" in cards(page)[:3]
    assert page.locator(".chip .label").all_text_contents() == ["husky.jpg"]


def test_a_dropped_sound_searches(served, open_page):
    page = open_page(f"{served.address}/?in=audio")
    page.locator("a[data-at]").first.wait_for()
    fire(page, "dragover", "sounds/dog-bark.ogg", "audio/ogg")
    page.get_by_text("Drop to search").wait_for()
    open_page.shoot(page, "over")
    fire(page, "drop", "sounds/dog-bark.ogg", "audio/ogg")
    asked(page, "~audio~dog-bark.ogg")
    assert cards(page)[0] == "dog-bark.ogg"


def test_a_pasted_picture_searches(served, open_page):
    page = open_page(served.address)
    page.locator("a[data-at]").first.wait_for()
    fire(page, "paste", "images/espresso-cup.jpg", "image/jpeg")
    asked(page, "~image~espresso-cup.jpg")
    assert cards(page)[0] == "espresso-cup.jpg"


def test_files_dragged_in_by_the_browser_itself_search(served, open_page):
    """As Chromium sees a drag from outside, with files on the disk."""
    page = open_page(served.address)
    page.locator("a[data-at]").first.wait_for()
    browser = page.context.new_cdp_session(page)
    files = [str(SAMPLE / "images/husky.jpg"), str(SAMPLE / "sounds/dog-bark.ogg")]
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": files, "dragOperationsMask": 1}
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 400, "data": data})
    asked(page, "dog-bark.ogg")
    assert page.locator(".chip .label").all_text_contents() == ["husky.jpg", "dog-bark.ogg"]


def test_a_picture_on_the_clipboard_is_pasted_with_the_keyboard(served, open_page):
    page = open_page(served.address, permissions=["clipboard-read", "clipboard-write"])
    page.locator("a[data-at]").first.wait_for()
    png = base64.b64encode((SAMPLE / "images/rooster.png").read_bytes()).decode()
    page.evaluate(
        """async (png) => {
            const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        png,
    )
    box(page).focus()
    page.keyboard.press("Control+V")
    asked(page, "with=upload~")
    assert page.locator(".chip .label").count() == 1


def test_a_video_searches(served, open_page):
    page = open_page(served.address)
    page.locator("input[type=file]").set_input_files(SAMPLE / "videos/pets.mp4")
    asked(page, "~video~pets.mp4")
    assert "pets.mp4" in cards(page)[:3]


def test_several_pieces_have_weights_and_can_be_subtracted(served, open_page):
    page = open_page(served.address)
    page.locator("input[type=file]").set_input_files([SAMPLE / "images/husky.jpg", SAMPLE / "images/cat-portrait.jpg"])
    asked(page, "cat-portrait.jpg")
    assert {"husky.jpg", "cat-portrait.jpg"} <= set(cards(page)[:5])
    page.get_by_label("Weight of cat-portrait.jpg").fill("1.6")
    asked(page, "~1.6~image~cat-portrait.jpg")
    page.get_by_label("Exclude husky.jpg").click()
    asked(page, "~-1~image~husky.jpg")
    page.get_by_label("Include husky.jpg").wait_for()
    assert "husky.jpg" not in cards(page)[:5]
    page.get_by_label("Remove husky.jpg").click()
    page.wait_for_function("() => !location.search.includes('husky')")


def test_a_text_can_be_a_piece_with_a_weight(served, open_page):
    page = open_page(served.address)
    box(page).fill("a dog")
    page.get_by_label("Add a picture, sound or video").click()
    page.get_by_role("button", name="Add text as a weighted term").click()
    page.get_by_label("Weight of a dog").wait_for()
    box(page).fill("a cat")
    box(page).press("Enter")
    asked(page, "with=text~1~a+dog")
    assert box(page).input_value() == "a cat"


def test_a_sound_is_recorded(served, open_page):
    page = open_page(served.address, permissions=["microphone"])
    page.get_by_label("Add a picture, sound or video").click()
    page.get_by_role("button", name="Record a sound").click()
    page.get_by_text("Recording").wait_for()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Search with it").click()
    asked(page, "~audio~recording.webm")


def test_the_camera_takes_a_picture(served, open_page):
    page = open_page(served.address, permissions=["camera"])
    page.get_by_label("Add a picture, sound or video").click()
    page.get_by_role("button", name="Take a picture").click()
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].some((node) => node.shadowRoot?.querySelector("video")?.videoWidth > 0)"""
    )
    page.get_by_role("button", name="Search with this picture").click()
    asked(page, "~image~camera.jpg")


def test_a_browser_without_a_microphone_says_what_to_do(served, open_page):
    page = open_page(served.address)
    page.get_by_label("Add a picture, sound or video").click()
    page.get_by_role("button", name="Record a sound").click()
    page.get_by_text("Allow it in the browser's settings, or choose a file.").wait_for()
    open_page.shoot(page, "forbidden")
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.get_by_label("Add a picture, sound or video").click()
    page.get_by_role("button", name="Take a picture").click()
    page.get_by_text("This browser has no camera here").wait_for()


def test_what_is_no_media_is_refused_in_a_sentence_and_the_rest_is_kept(served, open_page):
    page = open_page(served.address)
    liar = {"name": "liar.jpg", "mimeType": "image/jpeg", "buffer": b"\x7fELF this is a program"}
    page.locator("input[type=file]").set_input_files([liar])
    page.get_by_text(re.compile(r"^liar\.jpg: ")).wait_for()
    page.locator("input[type=file]").set_input_files(SAMPLE / "images/husky.jpg")
    asked(page, "husky.jpg")
    assert "husky.jpg" in cards(page)[:3]


def test_nothing_asked_is_said(served, open_page):
    page = open_page(served.address)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("Type what to look for, or add a picture, a sound or a video.").wait_for()


def test_a_forgotten_upload_is_said(served, open_page):
    page = open_page(f"{served.address}/?with=upload~{'0' * 32}~1~image~gone.jpg")
    page.get_by_text("An uploaded file in this search has expired.").wait_for()


def test_toggles_choose_the_media(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    page.get_by_role("button", name="Sounds").click()
    asked(page, "in=audio")
    page.get_by_role("button", name="Videos").click()
    asked(page, "in=video,audio")
    assert {name.rpartition(".")[2] for name in cards(page)} <= {"ogg", "wav", "m4a", "mp4", "webm"}


def test_filters_are_folded_and_active_ones_are_chips(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    assert page.get_by_label("At least, seconds").count() == 0
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("At least, seconds").fill("9")
    page.get_by_label("At least, seconds").press("Enter")
    asked(page, "shortest=9")
    chip = page.get_by_role("button", name="Remove the filter at least 9 s")
    chip.wait_for()
    open_page.shoot(page, "unfolded")
    page.get_by_role("button", name="Filters (1)").click()
    assert set(cards(page)) <= {"travel.mp4", "storm.webm", "rain.m4a", "rooster-crowing.wav", "museum-guide.vtt"}
    chip.click()
    page.wait_for_function("() => !location.search.includes('shortest')")


def test_questions_asked_before_come_back(served, open_page):
    page = open_page(f"{served.address}/?q=boats+at+sunset")
    cards(page)
    page.locator("a.mark").click()
    asked(page, "")
    box(page).focus()
    page.get_by_text("Recent searches").wait_for()
    open_page.shoot(page, "asked-before")
    page.get_by_role("button", name="boats at sunset").click()
    asked(page, "q=boats")
