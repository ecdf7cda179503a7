"""Where things lie: many roots cost no more than few, and are told as before."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from search.api import places as placing
from search.api.places import Places
from search.errors import Problem


class Store:
    """The collections of an archive, as the store tells them."""

    def __init__(self, collections) -> None:
        self.known, self.count = collections, 1

    def version(self) -> int:
        return self.count

    def collections(self):
        return self.known


@pytest.fixture
def many(settings):
    """Two thousand files that were named to be indexed, one by one, and a folder around some of them."""
    files = [f"/photos/{n % 50}/{n}.jpg" for n in range(2_000)]
    return Places(settings, Store({"default": files, "more": ["/photos/7", "/elsewhere"]}))


def test_a_message_is_rid_of_paths_by_one_look_at_it(many, monkeypatch):
    text = "/photos/3/3.jpg is not there; nor is /photos/7/57.jpg, nor /elsewhere/x, nor /photos/3/3.jpg.bak"
    assert many.hide(text) == "3.jpg is not there; nor is 7/57.jpg, nor elsewhere/x, nor /photos/3/3.jpg.bak"
    compiled = []
    monkeypatch.setattr(placing.re, "compile", lambda *given: compiled.append(given))
    for _ in range(20):
        many.hide(text)
    assert not compiled


def test_files_are_told_by_the_roots_around_them(many):
    assert many.spot("default", "/photos/3/3.jpg").folder == ""
    assert many.spot("more", "/photos/7/57.jpg").folder == ""
    assert many.spot("more", "/photos/7/deep/x.jpg").folder == "deep"
    assert many.tell("/photos/7/57.jpg") == "7/57.jpg"
    assert many.tell("/photos/8/8.jpg") == "8.jpg"
    assert many.tell("/nowhere/x.jpg") == "x.jpg"
    names = many.roots()
    assert "57.jpg" not in names
    assert names["7"] == "/photos/7"
    assert len(names) == 2_000 - 40 + 2


def test_what_is_asked_of_a_path_looks_at_the_folders_around_it_alone(many, monkeypatch):
    many.roots()
    asked: list[str] = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or real(path))
    assert many.holds("/photos/3/3.jpg")
    asked.clear()
    for _ in range(20):
        assert many.holds("/photos/3/3.jpg")
    assert len(asked) == 20  # the one root that it lies in, which is looked at each time: a link may lead elsewhere by now


def test_names_of_roots_are_told_apart(settings):
    roots = [f"/{n}/photos" for n in range(300)] + ["/x/photos-2"]
    named = Places(settings, Store({"default": roots})).roots()
    assert len(named) == 301
    assert sorted(named.values()) == sorted(roots)
    assert named["photos"] == "/0/photos"
    assert named["photos-3"] == "/2/photos"


def test_a_root_that_is_a_link_is_followed_to_where_it_leads_now(settings, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    places = Places(settings, Store({"default": [str(link)]}))
    assert places.holds(str(tmp_path / "one" / "x"))
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert places.holds(str(tmp_path / "two" / "x"))
    assert not places.holds(str(tmp_path / "one" / "x"))


def test_an_error_names_some_roots_and_not_all(many, settings):
    with pytest.raises(Problem) as caught:
        many.resolve("/etc")
    assert len(caught.value.remedy) < 1_000
    assert Places(replace(settings, roots="/only"), Store({})).roots() == {"only": "/only"}
