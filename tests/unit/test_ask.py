"""Questions about one asset: which frames are shown, and what is made of what a model writes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from search.encoders.generation import GeneratedText
from search.errors import InputError, MediaError, ModelMissing
from search.media import DecodePool
from search.models import Models
from search.ondemand import ask as asking
from search.ondemand.ask import MAX_FRAMES, ask
from search.settings import Settings
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Span
from tests.fakes import tiny_caption
from tests.fakes.tiny_caption import COLOURS, QUESTION, picture
from tests.media_samples import write_video
from ui import cli


@pytest.fixture(scope="module")
def vqa(tmp_path_factory) -> Path:
    return tiny_caption.write(tmp_path_factory.mktemp("vqa") / "model", "blip-vqa")


@pytest.fixture(scope="module")
def writer(vqa):
    return asking.load(f"caption:{vqa}", Models(vqa.parent), "cpu")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    with DecodePool(Settings(home=tmp_path_factory.mktemp("home")), 1) as pool:
        yield pool


class Fake:
    """A model that says the red of each picture, and remembers which it was shown."""

    name, needs, answers = "caption:fake", Needs(size=8, fit="squash", rate=0), True

    def __init__(self, *, several: bool = False) -> None:
        self.several, self.shown = several, []

    def answer(self, asked):
        self.shown += [[int(picture[0, 0, 0]) for picture in one.pictures] for one in asked]
        return [GeneratedText(f"red {one.pictures[0][0, 0, 0]}", 0.5) for one in asked]


class Film:
    """A pool that decodes shots of so many frames each, a frame a second; the frame at second n has n as its red."""

    def __init__(self, *shots: int, modality: Modality = Modality.VIDEO) -> None:
        self.shots, self.modality, self.decoded = shots, modality, 0

    def decode(self, path, needs):
        yield Info(self.modality, "mp4", 64, 48)
        yield Gap("no_sound", "none")
        begin = 0
        for frames in self.shots:
            self.decoded += 1
            content = np.zeros((frames, 8, 8, 3), np.uint8)
            content[..., 0] = np.arange(begin, begin + frames)[:, None, None]
            yield Cut(Channel.VISUAL, Modality.VIDEO, Span(begin * 1000, (begin + frames) * 1000), content)
            begin += frames


PATH = Path("film.mp4")


def test_a_still_is_answered_about(writer, pool, tmp_path):
    for colour in COLOURS:
        Image.fromarray(picture(colour, size=64)).save(tmp_path / f"{colour}.png")
        found = ask(writer, pool, tmp_path / f"{colour}.png", QUESTION)
        assert (found.text, found.model, found.frames) == (colour, writer.name, ())
        assert 0.5 < found.confidence <= 1


def test_a_video_is_answered_about_at_a_time_and_as_a_whole(writer, pool, tmp_path):
    film = write_video(tmp_path / "film.mp4", [("red", 2), ("blue", 4)])
    at = ask(writer, pool, film, QUESTION, at_ms=600)
    assert (at.text, at.frames) == ("red", (500,))
    whole = ask(writer, pool, film, QUESTION)
    assert whole.text == "blue"
    assert len(whole.frames) == 6
    with pytest.raises(InputError, match="at 60 seconds"):
        ask(writer, pool, film, QUESTION, at_ms=60_000)


def test_frames_are_spread_over_shots():
    fake = Fake(several=True)
    found = ask(fake, Film(*[3] * 40), PATH, "what")
    assert len(found.frames) == MAX_FRAMES
    assert list(found.frames) == sorted(found.frames)
    assert all(time % 3000 == 1500 for time in found.frames)  # the middle of shots
    assert found.frames[0] < 20_000
    assert found.frames[-1] > 100_000
    assert len(fake.shown) == 1


def test_few_shots_give_several_frames_each():
    fake = Fake(several=True)
    assert ask(fake, Film(10, 2), PATH, "what").frames == (500, 2500, 3500, 5500, 6500, 8500, 9500, 11500)
    assert ask(fake, Film(2), PATH, "what").frames == (500, 1500)


def test_a_model_that_looks_at_one_frame_is_asked_of_each_and_the_most_frequent_answer_counts():
    class Voting(Fake):
        def answer(self, asked):
            assert all(len(one.pictures) == 1 for one in asked)
            return [GeneratedText("often", 0.6), GeneratedText("surer", 0.9), GeneratedText("often", 0.4), GeneratedText("", 1.0)]

    found = ask(Voting(), Film(4), PATH, "what")
    assert found.text == "often"
    assert math.isclose(found.confidence, 0.25)


def test_decoding_stops_once_the_frame_is_there():
    film = Film(*[2] * 50)
    fake = Fake()
    assert ask(fake, film, PATH, "what", at_ms=7_400).frames == (7_500,)
    assert fake.shown == [[7]]
    assert film.decoded < 8


def test_an_animation_shows_its_middle_frame(writer, pool, tmp_path):
    frames = [Image.fromarray(picture(colour, size=64)) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert ask(writer, pool, tmp_path / "a.gif", QUESTION).text == "green"


@pytest.mark.parametrize("said", ["", " . ", "no no no no"])
def test_an_answer_that_is_none_is_told_as_that(said):
    class Silent(Fake):
        def answer(self, asked):
            return [GeneratedText(said, 0.9) for _ in asked]

    with pytest.raises(InputError, match="no answer"):
        ask(Silent(), Film(1), PATH, "what")


def test_what_cannot_be_seen_cannot_be_asked_about(writer, pool, tmp_path):
    (tmp_path / "words.txt").write_text("Red flowers stand in the garden.")
    with pytest.raises(InputError, match="nothing to be seen"):
        ask(writer, pool, tmp_path / "words.txt", QUESTION)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(MediaError):
        ask(writer, pool, tmp_path / "broken.png", QUESTION)
    with pytest.raises(InputError, match="no question"):
        ask(writer, pool, tmp_path / "words.txt", "  ")


def test_a_model_that_only_describes_is_not_asked(tmp_path):
    folder = tiny_caption.write(tmp_path / "blip")
    with pytest.raises(InputError, match="takes no questions") as caught:
        asking.load(str(folder), Models(tmp_path))
    assert "SENSORIUM_CAPTIONER" in caught.value.remedy


def test_no_model_and_a_model_that_is_not_here_are_told(tmp_path):
    with pytest.raises(InputError) as caught:
        asking.load("", Models(tmp_path))
    assert (caught.value.exit_code, "SENSORIUM_CAPTIONER" in caught.value.remedy) == (2, True)
    with pytest.raises(ModelMissing) as missing:
        asking.load("caption:Salesforce/blip-vqa-base", Models(tmp_path))
    assert "sensorium models pull caption:Salesforce/blip-vqa-base" in missing.value.remedy


# The command


@pytest.fixture
def run(tmp_path, vqa, monkeypatch):
    monkeypatch.setenv("SENSORIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SENSORIUM_CAPTIONER", str(vqa))
    monkeypatch.setenv("SENSORIUM_DEVICE", "cpu")
    Image.fromarray(picture("green", size=64)).save(tmp_path / "meadow.png")
    return lambda *arguments: CliRunner().invoke(cli.app, ["ask", *map(str, arguments)])


def test_the_command_says_who_answers(run, tmp_path, vqa):
    told = run(tmp_path / "meadow.png", QUESTION)
    assert told.exit_code == 0, told.output
    assert told.stdout == f"caption:{vqa} answers (written by a model, may be wrong): green\n"


def test_as_json_it_says_so_too(run, tmp_path, vqa):
    told = json.loads(run(tmp_path / "meadow.png", QUESTION, "--json").stdout)
    assert (told["answer"], told["written_by"], told["frames_ms"]) == ("green", f"caption:{vqa}", [])
    assert 0.5 < told["confidence"] <= 1


def test_without_a_model_the_command_says_how_to_set_one(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SENSORIUM_CAPTIONER")
    told = run(tmp_path / "meadow.png", QUESTION)
    assert isinstance(told.exception, InputError)
    assert "SENSORIUM_CAPTIONER" in told.exception.remedy


def test_a_file_that_is_not_there_is_told(run, tmp_path):
    assert isinstance(run(tmp_path / "none.png", QUESTION).exception, InputError | MediaError)


def test_an_asset_is_named_by_its_number(run, settings, archive, encoder):
    from indexer.run import RunRequest, index
    from search.store import Catalogue, Database
    from search.store.catalogue import AssetFilter

    index(replace(settings), RunRequest([archive]), encoder=encoder)
    (red,) = Catalogue(Database(settings.database)).page(AssetFilter(name="red.png"), before=None, limit=2)
    assert run(red.id, QUESTION).stdout.endswith(": red\n")
    assert isinstance(run(999, QUESTION).exception, InputError)
