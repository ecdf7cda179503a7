"""Open: the dialog on a moment."""

from __future__ import annotations

import datetime as dt
import os
import re
from random import Random

import pytest

from tests.bench.truth.recorded_tracks import ride
from tests.commands import forked
from tests.e2e.conftest import Served, asked, cards, index
from tests.media_samples import COLOURS, write_video
from tests.signed import created, picture, signed


def opened(page, name: str):
    page.locator(".card").filter(has_text=name).locator("a").click()
    page.get_by_role("dialog").wait_for()
    page.locator(".stage").wait_for()
    return page.get_by_role("dialog")


def test_a_video_starts_at_the_moment_and_the_strip_jumps(served, open_page):
    ranges = []
    page = open_page(f"{served.address}/?q=a+dog&in=video", own=True)
    page.on("response", lambda answer: ranges.append(answer.status) if "/media" in answer.url else None)
    dialog = opened(page, "pets.mp4")
    video = dialog.locator("video")
    page.wait_for_function("video => video.currentTime > 3.5 && !video.paused", arg=video.element_handle())
    assert 206 in ranges
    open_page.shoot(page, "playing")
    dialog.get_by_role("button", name="Jump to 0:00, visual").click()
    page.wait_for_function("video => video.currentTime < 3", arg=video.element_handle())
    dialog.locator(".near button").nth(1).click()
    page.wait_for_function("video => video.currentTime > 3.5", arg=video.element_handle())


def test_a_moment_says_why_it_was_found(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    dialog = opened(page, "pets.mp4")
    dialog.get_by_text("Why this?").click()
    dialog.locator(".why li").first.wait_for()
    told = dialog.locator(".why").inner_text()
    assert re.search(r"Evidence \+\d+\.\d, by its meaning", told)
    assert "“a dog”" in told
    assert dialog.locator(".heat span").count() >= 2


def test_how_it_was_made_is_a_tree_that_the_keyboard_reaches(open_page, tmp_path):
    pytest.importorskip("c2pa")
    (tmp_path / "media").mkdir()
    source = signed(picture(), created("trainedAlgorithmicMedia"))[0]
    made = signed(source, [{"action": "c2pa.color_adjustments"}], edits=True, title="retouched.jpg", signer="Desk")[0]
    (tmp_path / "media" / "retouched.jpg").write_bytes(made)
    (tmp_path / "media" / "ride.gpx").write_text(ride(Random(1), parts=6).gpx(dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)))
    home = tmp_path / "home"
    assert index(home, tmp_path / "media") == 1
    done = forked("spaces", "add", "motion", "--encoder", "series", env=os.environ | {"SENSORIUM_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    service = Served(home, tmp_path / "media", show_positions="*")
    try:
        page = open_page(f"{service.address}/?q=red&in=image")
        dialog = opened(page, "retouched.jpg")
        for _ in range(40):
            page.keyboard.press("Tab")
            if (
                page.evaluate(
                    "deep => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at?.textContent; }"
                )
                == "How was it made?"
            ):
                break
        page.keyboard.press("Enter")
        dialog.locator(".making li li").wait_for()
        told = dialog.locator(".making").inner_text()
        for what in (
            "Made by a model",
            "signed by Desk",
            "parent:",
            "signed by Newsroom",
            "color_adjustments",
            "trainedAlgorithmicMedia",
        ):
            assert what in told
        page = open_page(f"{service.address}/?q=turn+left&in=imu")
        dialog = opened(page, "ride.gpx")
        dialog.locator(".feature").first.wait_for()
        assert "turning" in dialog.locator(".moved").inner_text()
        assert dialog.locator("polyline.here").count() > 0
    finally:
        service.stop()


def test_a_hit_that_is_closer_ranks_the_rest_anew_and_is_undone(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    opened(page, "pets.mp4").get_by_role("button", name="Closer to it").click()
    page.wait_for_url("**prefer=**")
    undo = page.get_by_role("link", name="Undo the last of 1 choice")
    undo.wait_for()
    undo.click()
    undo.wait_for(state="hidden")
    assert "prefer" not in page.url


def test_a_sound_plays(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog+barking&in=audio")
    dialog = opened(page, "dog-bark.ogg")
    page.wait_for_function("sound => sound.currentTime > 0", arg=dialog.locator("audio").element_handle())


def test_a_text_shows_the_words_among_their_neighbours(served, open_page):
    page = open_page(f"{served.address}/?q=how+to+brew+an+espresso&in=text")
    dialog = opened(page, "coffee-at-home.md")
    assert "espresso" in dialog.locator("p.here").text_content().lower()
    assert dialog.locator(".screen p").count() > 1


def test_a_picture_that_browsers_cannot_show_is_shown(served, open_page):
    page = open_page(f"{served.address}/?q=a+violin&in=image")
    dialog = opened(page, "violin.tiff")
    page.wait_for_function("image => image.naturalWidth > 300", arg=dialog.locator(".screen img").element_handle())


def test_metadata_and_where_the_file_lies(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    facts = opened(page, "pets.mp4").locator("dl").inner_text()
    assert re.search(r"Location\s+videos/pets\.mp4 \(default\)", facts)
    assert "mp4, " in facts
    assert "640 × 360" in facts


def test_more_like_this_asks_with_the_moment(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    opened(page, "husky.jpg").get_by_role("button", name="More like this").click()
    asked(page, "~image~husky.jpg")
    page.get_by_role("dialog").wait_for(state="detached")
    assert "husky.jpg" not in cards(page)
    assert "pets.mp4" in cards(page)[:4]


def test_a_frame_searches(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=video")
    dialog = opened(page, "pets.mp4")
    page.wait_for_function("video => video.currentTime > 3.5", arg=dialog.locator("video").element_handle())
    dialog.get_by_role("button", name="Search with this frame").click()
    asked(page, "with=upload~")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.locator(".chip .label").text_content().startswith("pets.mp4 0:0")


def test_the_link_is_copied_and_opens_the_dialog(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=image", permissions=["clipboard-read", "clipboard-write"])
    opened(page, "husky.jpg").get_by_role("button", name="Copy link").click()
    page.get_by_text("The link is copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    again = open_page(link)
    again.get_by_role("dialog").locator(".stage").wait_for()
    assert "husky.jpg" in again.get_by_role("dialog").inner_text()


def test_the_file_is_downloaded(served, open_page, archive):
    page = open_page(f"{served.address}/?q=a+dog&in=image")
    dialog = opened(page, "husky.jpg")
    with page.expect_download() as waiting:
        dialog.get_by_role("link", name="Download").click()
    assert waiting.value.suggested_filename == "husky.jpg"
    assert waiting.value.path().read_bytes() == (archive / "images/husky.jpg").read_bytes()


def test_arrows_lead_to_the_next_hit_and_back_closes(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&in=image")
    names = cards(page)
    dialog = opened(page, names[0])
    dialog.get_by_role("button", name="Next hit").click()
    page.get_by_role("dialog").get_by_role("heading", name=names[1]).wait_for()
    page.go_back()
    page.get_by_role("dialog").wait_for(state="detached")
    assert cards(page) == names
    page.go_forward()
    page.get_by_role("dialog").get_by_role("heading", name=names[1]).wait_for()


@pytest.mark.parametrize("close", ["Escape", "X"])
def test_back_never_opens_what_was_closed(served, open_page, close):
    page = open_page(f"{served.address}/?q=a+cat")
    asked(page, "q=a+cat")
    page.get_by_label("What to look for", exact=True).first.fill("a dog")
    page.keyboard.press("Enter")
    asked(page, "q=a+dog")
    names = cards(page)
    for name in names[:3]:
        opened(page, name)
        if close == "Escape":
            page.keyboard.press("Escape")
        else:
            page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).click()
        page.get_by_role("dialog").wait_for(state="detached")
        page.wait_for_function("() => !location.search.includes('open=')")
    page.go_back()
    asked(page, "q=a+cat")
    assert page.get_by_role("dialog").count() == 0


def test_a_moment_opened_by_its_link_can_be_closed(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog")
    cards(page)
    page.goto(page.locator("a[data-at]").first.evaluate("link => link.href"))
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.wait_for_function("() => !location.search.includes('open=')")
    assert "q=a+dog" in page.url


def test_a_vanished_file_is_said(served, open_page, archive):
    file, hidden = archive / "sounds/rain.m4a", archive / "sounds/rain.hidden"
    file.rename(hidden)
    try:
        page = open_page(f"{served.address}/?q=rain&in=audio")
        opened(page, "rain.m4a")
        page.get_by_text("The file is gone.").wait_for()
    finally:
        hidden.rename(file)


def test_an_unknown_moment_is_said(served, open_page):
    page = open_page(f"{served.address}/?q=a+dog&open=999999")
    page.get_by_role("dialog").get_by_text("It may have been deleted.").wait_for()


def test_the_page_of_a_service_with_tokens_calls_as_whoever_looks_at_it(served, archive, open_page):
    """The address with the token opens it; pictures, the search and the player go by the cookie from then on."""
    service = Served(served.home, archive, tokens=True)
    try:
        token = (served.home / "token").read_text().strip()
        page = open_page(f"{service.address}/?token={token}&q=a+dog&in=image")
        assert cards(page)
        assert "token" not in page.url
        loaded = page.locator(".card img").first
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=loaded.element_handle())
        stranger = open_page(service.address)
        stranger.get_by_text("sensorium serve").wait_for()
        assert stranger.locator(".card").count() == 0
    finally:
        service.stop()


_COLOUR = """video => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    canvas.getContext("2d").drawImage(video, 0, 0, 1, 1);
    return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def test_a_film_whose_clock_does_not_begin_at_nought_plays_the_moment(tmp_path, open_page):
    """A piece of a recording: Chromium counts on from ten seconds, the archive from the first frame."""
    folder, scenes = tmp_path / "archive", [("red", 3.0), ("blue", 3.0), ("green", 3.0)]
    folder.mkdir()
    write_video(folder / "piece.webm", scenes, output_ts_offset="10")
    assert index(tmp_path / "home", folder) == 1
    service = Served(tmp_path / "home", folder)
    try:
        page = open_page(f"{service.address}/?q=blue&in=video")
        dialog = opened(page, "piece.webm")
        video = dialog.locator("video")
        element = video.element_handle()
        for at in (1, 2, 0):
            dialog.locator(".near button").nth(at).click()
            page.wait_for_function("([video, at]) => video.currentTime > at && !video.seeking", arg=[element, 10 + 3 * at])
            video.evaluate("video => video.pause()")
            assert 10 + 3 * at < video.evaluate("video => video.currentTime") < 13 + 3 * at
            found = video.evaluate(_COLOUR)
            assert sum(abs(a - b) for a, b in zip(found, COLOURS[scenes[at][0]], strict=True)) < 90
        share = float(dialog.locator(".needle").evaluate("needle => parseFloat(needle.style.left)"))
        assert 0 <= share < 34
        dialog.get_by_role("button", name="Search with this frame").click()
        asked(page, "with=upload~")
        assert page.locator(".chip .label").text_content().startswith("piece.webm 0:0")
    finally:
        service.stop()
