"""What a walk leaves out, and which paths name the same folder."""

from __future__ import annotations

import os

import pytest

from indexer import mounts
from indexer.exclude import USUAL, Exclusions
from search.errors import InputError
from search.folders import spellings


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        ".Trash-1000",
        "lost+found",
        "Thumbs.db",
        "._a.jpg",
        ".nomedia",
        "film.mp4.part",
        "System Volume Information",
    ],
)
def test_what_machines_leave_is_left_out(name):
    assert Exclusions().leaves_out(os.fsencode(f"/root/a/{name}"), b"/root", folder=True)


def test_the_usual_patterns_and_their_expression_agree():
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(USUAL)
    for name in [
        *(pattern.replace("*", "x") for pattern in USUAL),
        "a.jpg",
        "recycled.jpg",
        "part",
        "my@eaDir",
        "lost+found.txt",
    ]:
        assert Exclusions().leaves_out(os.fsencode(f"/root/{name}"), b"/root", folder=False) == spec.match_file(name), name


def test_patterns_of_ones_own_follow_gitignore_and_take_in_again():
    own = Exclusions.of("*.png, !keep.png", ["/private/", "!@eaDir"])
    told = {
        "a.png": True, "sub/a.png": True, "sub/keep.png": False, "a.jpg": False, ".hidden.jpg": True, "@eaDir": False, "#recycle": True,
    }  # fmt: skip
    assert {name: own.leaves_out(os.fsencode(f"/root/{name}"), b"/root", folder=False) for name in told} == told
    assert own.leaves_out(b"/root/private", b"/root", folder=True)
    assert not own.leaves_out(b"/root/sub/private", b"/root", folder=True)
    assert own.leaves_out_below(b"/root/private/deep/a.jpg", b"/root", folder=False)
    assert not own.leaves_out_below(b"/root/sub/a.jpg", b"/root", folder=False)


def test_a_pattern_that_cannot_be_read_is_told():
    with pytest.raises(InputError, match="pattern"):
        Exclusions(["a\\"])


def test_a_folder_is_named_in_many_ways(tmp_path, monkeypatch):
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "sub").mkdir(parents=True)
    link.symlink_to(real)
    monkeypatch.chdir(real)
    for way in (".", "../real", "sub/..", str(link), str(real)):
        assert str(link) in spellings(way, [str(link)])
        assert str(real) in spellings(way, [str(real)])
    assert str(link / "sub") in spellings(str(real / "sub"), [str(link)])
    assert str(real / "sub") in spellings(str(link / "sub"), [str(real)])
    assert str(link) in spellings(str(tmp_path), [str(link)])
    assert str(link) not in spellings(str(tmp_path / "other"), [str(link)])


def test_what_lay_on_a_file_system_that_is_not_mounted_is_away(tmp_path):
    here = mounts.device(os.stat(tmp_path).st_dev)
    root = os.fsencode(tmp_path)
    file = root + b"/nas/2019/a.jpg"
    assert mounts.is_away(file, here + 1)
    assert not mounts.is_away(file, here)
    assert not mounts.is_away(file, None)
    assert mounts.is_away(file, here, [root + b"/nas"])
    (tmp_path / "nas").mkdir()
    assert mounts.is_away(file, here, [root + b"/nas"])
    (tmp_path / "nas" / "b.jpg").touch()
    assert not mounts.is_away(file, here, [root + b"/nas"])
