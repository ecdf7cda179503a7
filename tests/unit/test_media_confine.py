from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys

import pytest

from search.errors import UnknownName
from search.media import DecodePool, ffmpeg
from search.media.sandbox import confine
from search.media.sandbox.slots import SLOT_BYTES, SLOTS, Slots
from search.media.source import picture_formats
from tests.media_samples import colour_of, picture
from tests.unit.media_pool import decode, refusal, settings

pytestmark = pytest.mark.usefixtures("fresh_decoders")


@pytest.fixture
def slots():
    slots = Slots.create()
    yield slots
    slots.close()


def test_what_goes_into_a_slot_comes_out_of_it(slots):
    theirs = Slots.attach(os.dup(slots.memory), os.dup(slots.free))
    for number in range(3 * SLOTS):
        piece = bytes([number]) * (SLOT_BYTES - number)
        room = bytearray(len(piece))
        slots.take(theirs.put(memoryview(piece))[0], memoryview(room))
        assert room == piece
    theirs.close()


def test_a_decoder_waits_for_a_free_slot(slots):
    theirs = Slots.attach(os.dup(slots.memory), os.dup(slots.free))
    taken = [theirs.put(memoryview(b"x"))[0] for _ in range(SLOTS)]
    os.set_blocking(theirs.free, False)
    with pytest.raises(BlockingIOError):
        theirs.put(memoryview(b"y"))
    slots.take(taken[3], memoryview(bytearray(1)))
    assert theirs.put(memoryview(b"y"))[0] == taken[3]
    theirs.close()


@pytest.mark.parametrize("number", [SLOTS, 255])
def test_a_slot_that_is_not_there_cannot_be_taken(slots, number):
    with pytest.raises(ValueError, match="no such slot"):
        slots.take(number, memoryview(bytearray(1)))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux can seal memory")
@pytest.mark.parametrize("size", [0, SLOT_BYTES, 2 * SLOTS * SLOT_BYTES])
def test_nobody_changes_the_size_of_shared_memory(slots, size):
    """Who reads where it was cut short gets SIGBUS."""
    with pytest.raises(PermissionError):
        os.ftruncate(slots.memory, size)
    assert len(mmap.mmap(slots.memory, 0)) == SLOTS * SLOT_BYTES


def test_what_is_absent_is_said_with_what_to_do():
    assert set(confine.absent()) <= set(confine.REMEDIES)


def test_where_nothing_is_granted_it_is_said_and_the_program_goes_on():
    """As in a container that forbids it all: here in a process that has given up the means already."""
    code = (
        "import ctypes, sys; sys.path.insert(0, sys.argv[1]); import confine\n"
        "first = confine.restrict_calls(program=True)\n"
        "import json; print(json.dumps([first, confine.isolate() | confine.restrict_calls()]))"
    )
    folder = os.path.dirname(confine.__file__)
    done = subprocess.run([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, check=True)
    first, second = json.loads(done.stdout)
    if first:
        pytest.skip(f"no filter here: {first}")
    assert set(second) == set(confine.REMEDIES)
    assert all("not permitted" in why for why in second.values())


def test_a_decoder_without_any_protection_decodes_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("search.media.sandbox.process._CHILD", "tests.bench.unconfined")
    picture("red").save(tmp_path / "a.png")
    with DecodePool(settings(), 1) as pool:
        assert colour_of(decode(pool, tmp_path / "a.png").content) == "red"


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("8.0", False),
        ("8.1.2", False),
        ("n9.0.2-17-g2a571b6068-20260930", False),
        ("7.1.3", True),
        ("n4.4", True),
        ("N-120000-gabcdef", False),
    ],
)
def test_an_ffmpeg_with_known_holes_is_known_by_its_version(version, old):
    assert ffmpeg.outdated(version) is old


def test_the_ffmpegs_that_are_used_are_new_enough():
    assert not any(map(ffmpeg.outdated, ffmpeg.versions().values()))


def test_formats_of_pictures_are_those_that_are_listed(tmp_path):
    picture("red").save(tmp_path / "a.png")
    picture("red").save(tmp_path / "a.jpg")
    with DecodePool(settings(image_formats="jpeg, webp"), 1) as pool:
        assert colour_of(decode(pool, tmp_path / "a.jpg").content) == "red"
        assert refusal(pool, tmp_path / "a.png").reason == "undecodable"
    with pytest.raises(UnknownName):
        picture_formats("jpeg,eps")


def test_heif_is_read_where_it_is_asked_for(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture("red").save(tmp_path / "a.heic")
    with DecodePool(settings(), 1) as pool:
        assert refusal(pool, tmp_path / "a.heic").reason == "unsupported"
    with DecodePool(settings(image_formats="heic"), 1) as pool:
        assert colour_of(decode(pool, tmp_path / "a.heic").content) == "red"


def test_every_mode_of_a_picture_can_be_read_without_a_path_being_opened(tmp_path):
    """Libraries import amid a file what they need for some modes; a confined decoder could not."""
    with DecodePool(settings(), 1) as pool:
        for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "F"):
            picture("grey").convert(mode).save(tmp_path / f"{mode}.tiff")
            assert decode(pool, tmp_path / f"{mode}.tiff").content.shape == (64, 64, 3), mode


def test_the_doctor_names_each_protection_that_is_absent_and_why():
    from ui.doctor import _confinement

    whole, lack = _confinement({"a network namespace": "Operation not permitted"})
    assert whole.ok
    assert "Landlock" in whole.seen
    assert lack.ok
    assert "a network namespace (Operation not permitted)" in lack.seen
    nothing = list(_confinement(dict.fromkeys(confine.REMEDIES, "not on Plan 9")))
    assert len(nothing) == 5
    assert not any(check.ok for check in nothing)
    assert all(check.remedy for check in nothing)
