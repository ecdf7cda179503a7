"""Settings: who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.errors import InputError
from search.settings import load


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No configuration of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("search.settings.user_config_path", lambda *_, **__: tmp_path / "user")


def test_flags_beat_the_environment_beats_the_project_beats_the_user(tmp_path):
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "sensorium.toml").write_text('space = "user"\ndecoders = 7\n')
    assert (load({}, {}).space, load({}, {}).decoders) == ("user", 7)
    (tmp_path / "sensorium.toml").write_text('space = "project"\n')
    assert (load({}, {}).space, load({}, {}).decoders) == ("project", 7)
    assert load({}, {"SENSORIUM_SPACE": "environment"}).space == "environment"
    assert load({"space": "flag"}, {"SENSORIUM_SPACE": "environment"}).space == "flag"


def test_a_flag_that_was_not_given_does_not_count():
    assert load({"home": None}, {"SENSORIUM_HOME": "/somewhere"}).home == Path("/somewhere")


@pytest.mark.parametrize(
    "content", ["space = ", "colour = 'red'", "decoders = 'many'", "decoders = -1", "offline = 'perhaps'", "models = 3"]
)
def test_a_file_that_makes_no_sense_is_named(tmp_path, content):
    (tmp_path / "sensorium.toml").write_text(content)
    with pytest.raises(InputError):
        load({}, {})


def test_a_variable_of_the_wrong_type_is_named():
    with pytest.raises(InputError, match="decoders"):
        load({}, {"SENSORIUM_DECODERS": "two"})


@pytest.mark.parametrize(("given", "meant"), [("1", True), ("true", True), ("YES", True), ("0", False), ("off", False)])
def test_a_flag_can_be_switched_on_and_off_by_a_variable(tmp_path, given, meant):
    (tmp_path / "sensorium.toml").write_text(f"offline = {str(not meant).lower()}\n")
    assert load({}, {}).offline is not meant
    assert load({}, {"SENSORIUM_OFFLINE": given}).offline is meant
