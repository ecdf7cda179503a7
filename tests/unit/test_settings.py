"""Settings: who wins, and what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from indexer.run import RunRequest, index
from search import disk
from search.errors import InputError
from search.settings import load
from ui.doctor import examine


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


def _modes(home):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}


def test_a_home_is_for_its_owner_alone(settings, archive, encoder):
    before = os.umask(0o022)
    try:
        index(settings, RunRequest([archive]), encoder=encoder)
    finally:
        os.umask(before)
    load({"home": settings.home}, {})
    modes = _modes(settings.home)
    assert modes.pop("home") == 0o700
    assert {mode & 0o077 for mode in modes.values()} == {0}
    assert stat.S_IMODE((settings.home / "sensorium.db").stat().st_mode) == 0o600


def test_an_older_home_is_mended_when_it_is_opened(settings, archive, encoder):
    index(settings, RunRequest([archive]), encoder=encoder)
    for path in (settings.home, *settings.home.iterdir()):
        path.chmod(0o755)
    assert settings.home in disk.exposed(settings.home)
    load({"home": settings.home}, {})
    assert disk.exposed(settings.home) == []
    assert {mode & 0o077 for mode in _modes(settings.home).values()} == {0}


def test_a_folder_that_holds_other_things_too_keeps_its_mode(tmp_path):
    (tmp_path / "sensorium.db").touch(mode=0o644)
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o755)
    (tmp_path / "letters").chmod(0o755)
    load({"home": tmp_path}, {})
    assert {name: mode for name, mode in _modes(tmp_path).items() if name in ("letters", tmp_path.name)} == {
        "letters": 0o755,
        tmp_path.name: 0o755,
    }
    assert stat.S_IMODE((tmp_path / "sensorium.db").stat().st_mode) == 0o600


def test_the_doctor_tells_what_others_may_read(settings, archive, encoder):
    index(settings, RunRequest([archive]), encoder=encoder)
    (settings.home / "sensorium.db").chmod(0o644)
    (found,) = (check for check in examine(settings) if check.name == "privacy")
    assert not found.ok
    assert "sensorium.db" in found.seen


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("HOSTSS", "HOSTS"), ("SPACES", "SPACE"), ("DATABASEURL", "DATABASE_URL"), ("UPLOAD_BYTE", "UPLOAD_BYTES")],
)
def test_a_variable_that_is_almost_a_setting_is_named_with_what_was_meant(variable, meant):
    with pytest.raises(InputError, match=f"SENSORIUM_{variable}") as refused:
        load({}, {f"SENSORIUM_{variable}": "x"})
    assert f"SENSORIUM_{meant}" in refused.value.remedy


@pytest.mark.parametrize(
    "variable", ["PORT", "SERVICE_HOST", "SERVICE", "CRASH_SEED", "SPEECH_FILES", "BENCH_READERS", "SCREENS", "SOAK_SECONDS"]
)
def test_variables_that_are_no_slip_are_let_be(variable):
    load({}, {f"SENSORIUM_{variable}": "x"})


def test_the_file_of_an_unknown_key_or_a_wrong_value_is_named(tmp_path):
    (tmp_path / "user").mkdir()
    file = tmp_path / "user" / "sensorium.toml"
    for content, key in (
        ("colour = 1", "colour"),
        ("decoders = 'many'", "decoders"),
        ("spaces = 'x'", "spaces"),
        ("hosts = 'a:80'", "hosts"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=key) as refused:
            load({}, {})
        assert str(file) in str(refused.value)
    file.write_text("spaces = 'x'")
    with pytest.raises(InputError) as refused:
        load({}, {})
    assert "space" in refused.value.remedy


@pytest.mark.parametrize(
    "hosts", ["http://a.lan", "a.lan:8571", "*.lan", "*", "a.lan/x", "grün.lan", "a lan", "-a", "ok.lan,b:1"]
)
def test_hosts_that_never_can_match_are_refused(hosts):
    with pytest.raises(InputError, match="hosts"):
        load({}, {"SENSORIUM_HOSTS": hosts})


@pytest.mark.parametrize("hosts", ["", "a.lan", "A.lan., b_c.lan ,", "xn--grn-hoa.lan", "192.0.2.1", "[::1]", "::1"])
def test_hosts_that_can_match_are_taken(hosts):
    assert load({}, {"SENSORIUM_HOSTS": hosts}).hosts == hosts
