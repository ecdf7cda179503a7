from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from search.errors import MediaError
from search.media import DecodePool
from search.media.sandbox import protocol
from search.media.sandbox.wall_limit import WallLimit
from search.types import Channel, Cut, DateSource, Gap, Info, Modality, Needs, Span, Stamp
from tests.media_samples import colour_of, picture, tone, write_sound, write_video
from tests.unit.media_pool import NEEDS, decode, refusal, settings
from tests.waiting import LONG, until

pytestmark = pytest.mark.usefixtures("fresh_decoders")


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "search.media.sandbox.child" in " ".join(child.cmdline())]


@pytest.fixture
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.fixture
def red(tmp_path):
    picture("red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "a.mkv", [("red", 400.0)], fps=5, size=(320, 240), sound=tone(440, 60))


def test_info_comes_first_and_cuts_come_while_decoding_goes_on(pool, film):
    found = pool.decode(film, NEEDS)
    assert isinstance(next(found), Info)
    assert isinstance(next(found), Cut)
    (child,) = children()
    assert child.status() != psutil.STATUS_ZOMBIE
    assert sum(1 for one in found if isinstance(one, Cut) and one.channel is Channel.VISUAL) >= 39


@pytest.mark.parametrize(("name", "make", "reason"), [
    ("gone.png", lambda path: None, "vanished"),
    ("empty.png", lambda path: path.write_bytes(b""), "empty"),
    ("folder.png", lambda path: path.mkdir(), "unreadable"),
    ("pipe.png", os.mkfifo, "unreadable"),
    ("loop.png", lambda path: path.symlink_to(path), "unreadable"),
])  # fmt: skip
def test_what_cannot_be_read_is_told_and_the_pool_goes_on(pool, red, tmp_path, name, make, reason):
    make(tmp_path / name)
    error = refusal(pool, tmp_path / name)
    assert (error.reason, bool(error.remedy)) == (reason, True)
    assert colour_of(decode(pool, red).content) == "red"


def test_a_file_on_a_disk_that_fails_is_unreadable(pool, red, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        assert refusal(pool, red).reason == "unreadable"
    assert colour_of(decode(pool, red).content) == "red"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(pool, red):
    red.chmod(0)
    assert refusal(pool, red).reason == "unreadable"


@pytest.mark.parametrize("suffix", [b"png", b"wav", b"mkv", b"txt"])
def test_names_that_are_no_text_can_be_read(pool, tmp_path, suffix):
    plain = tmp_path / f"a.{suffix.decode()}"
    if suffix == b"txt":
        plain.write_text("A red bus stops.")
    elif suffix == b"png":
        picture("red").save(plain)
    else:
        (write_sound(plain, tone(440, 1)) if suffix == b"wav" else write_video(plain, [("red", 1.0)]))
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe\n\xe9." + suffix))
    plain.rename(path)
    assert decode(pool, path).cuts


def test_a_relative_path_means_the_callers_folder(pool, red, monkeypatch):
    monkeypatch.chdir(red.parent)
    assert colour_of(decode(pool, Path("red.png")).content) == "red"


def test_modules_lying_in_the_working_folder_are_not_run(tmp_path, red, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("numpy", "search", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    with DecodePool(settings(), 1) as pool:
        assert colour_of(decode(pool, red).content) == "red"


def test_a_decoder_that_sleeps_is_killed_and_replaced(red, film, monkeypatch):
    monkeypatch.setattr("search.media.sandbox.process.PATIENCE", LONG)
    with DecodePool(settings(decode_seconds=1), 1) as pool:
        decode(pool, red)
        (child,) = children()
        child.suspend()
        with monkeypatch.context() as patch:
            patch.setattr("search.media.sandbox.process.PATIENCE", 2)
            error = refusal(pool, red)
        assert error.reason == "too_slow"
        assert "decode_seconds" in str(error)
        assert colour_of(decode(pool, red).content) == "red"
        assert child.pid not in [other.pid for other in children()]


def test_a_decoder_that_dies_amid_a_file_is_told_and_replaced(pool, red, film):
    found = pool.decode(film, NEEDS)
    next(found)
    (child,) = children()
    child.kill()
    with pytest.raises(MediaError) as caught:
        list(found)
    assert caught.value.reason == "killed"
    assert "SIGKILL" in str(caught.value)
    assert "memory" in str(caught.value)
    assert colour_of(decode(pool, red).content) == "red"


def test_a_decoder_that_died_while_idle_is_replaced_without_a_word(pool, red):
    decode(pool, red)
    (child,) = children()
    child.kill()
    child.wait()
    assert colour_of(decode(pool, red).content) == "red"


def test_who_stops_listening_early_does_not_hold_the_decoder_up(pool, red, film, monkeypatch):
    for _ in range(2):
        found = pool.decode(film, NEEDS)
        next(found)
        found.close()
        assert colour_of(decode(pool, red).content) == "red"
    (child,) = children()
    monkeypatch.setattr("search.media.sandbox.process._POLL_SECONDS", LONG)
    found = pool.decode(red, NEEDS)
    next(found)
    found.close()
    decode(pool, red)
    assert [other.pid for other in children()] == [child.pid], "a short file is heard out instead"


def test_a_slow_listener_does_not_make_a_file_too_slow(film):
    with DecodePool(settings(decode_seconds=3), 1) as pool:
        for number, _ in enumerate(pool.decode(film, NEEDS)):
            time.sleep(4 if number == 3 else 0)


def test_many_threads_share_few_decoders_and_each_gets_its_own_answer(tmp_path):
    colours = ["red", "green", "blue", "yellow"]
    for colour in colours:
        picture(colour).save(tmp_path / f"{colour}.png")
    with DecodePool(settings(), 2) as pool, ThreadPoolExecutor(6) as threads:
        asked = colours * 25
        got = threads.map(lambda colour: colour_of(decode(pool, tmp_path / f"{colour}.png").content), asked)
        assert list(got) == asked
        assert len(children()) == 2


def test_a_decoder_outlives_the_thread_that_started_it(red, tmp_path):
    with DecodePool(settings(), 1) as pool:
        (child,) = children()
        child.kill()
        child.wait()
        thread = threading.Thread(target=decode, args=(pool, red))
        thread.start()
        thread.join()
        pids = [child.pid for child in children()]
        decode(pool, red)
        assert [child.pid for child in children()] == pids


def test_decoders_are_renewed_after_many_files(red, monkeypatch):
    monkeypatch.setattr("search.media.sandbox.pool._FILES_PER_PROCESS", 3)
    with DecodePool(settings(), 1) as pool:
        pids = set()
        for _ in range(7):
            decode(pool, red)
            pids |= {child.pid for child in children()}
        assert len(pids) == 3


def test_a_closed_pool_leaves_nothing_behind_and_says_so(red, film):
    pool = DecodePool(settings(), 2)
    found = pool.decode(film, NEEDS)
    next(found)
    pool.close()
    with pytest.raises(RuntimeError):
        list(found)
    with pytest.raises(RuntimeError):
        list(pool.decode(red, NEEDS))
    assert children() == []


def test_decoders_end_when_their_parent_is_killed(film):
    code = (
        "import sys\nfrom pathlib import Path\nfrom search.media import DecodePool\n"
        "from tests.unit.media_pool import NEEDS, settings\n"
        "pool = DecodePool(settings(), 2)\nfound = pool.decode(Path(sys.argv[1]), NEEDS)\nnext(found)\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code, str(film)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"ready\n"
    orphans = psutil.Process(parent.pid).children()
    assert len(orphans) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    until(lambda: not any(orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE for orphan in orphans))


def test_nothing_is_written_beside_the_files(pool, tmp_path, red):
    before = sorted(tmp_path.iterdir())
    decode(pool, red)
    assert sorted(tmp_path.iterdir()) == before


def test_replies_survive_the_wire():
    span = Span(5, 9)
    for reply in (
        Info(Modality.VIDEO, "mp4", 3, 2, 1000, (Stamp(DateSource.TAGS, "2018-04-19"),), "Ünïcode", (35.68, 139.7)),
        Gap("truncated", "short", span),
        Gap("no_sound", "none"),
        Cut(Channel.TEXT, Modality.TEXT, Span(0, 3, "char"), "añb"),
        Cut(Channel.SPEECH, Modality.TEXT, span, "añb", "subtitle stream 2 (German)", "de"),
    ):
        assert through(*protocol.pack_reply(reply)) == reply
    sound = through(*protocol.pack_reply(Cut(Channel.SOUND, Modality.AUDIO, span, np.arange(7, dtype=np.float32))))
    assert sound.content.tolist() == list(range(7))
    for modality, shape in ((Modality.DEPTH, (64, 64)), (Modality.THERMAL, (64, 64)), (Modality.IMU, (6, 800))):
        content = np.random.default_rng(0).random(shape, np.float32)
        assert np.array_equal(through(*protocol.pack_reply(Cut(Channel.MOTION, modality, span, content))).content, content)
    assert through(*protocol.pack_reply(None)) is None
    error = through(*protocol.pack_reply(MediaError("empty", "nothing")))
    assert (error.reason, str(error)) == ("empty", "nothing")


def through(head, payload):
    length, size = protocol.PREFIX.unpack(head[: protocol.PREFIX.size])
    header = protocol.unpack_header(head[protocol.PREFIX.size :])
    assert (len(head) - protocol.PREFIX.size, len(payload)) == (length, size)
    room = protocol.room(header, size, NEEDS, 8)
    if size:
        room.data.cast("B")[:] = payload
    return protocol.unpack_reply(header, room)


@pytest.mark.parametrize(("header", "size"), [
    ({"kind": "cut", "modality": "image", "shape": [1 << 20, 1 << 20, 3]}, 3 << 40),
    ({"kind": "cut", "modality": "image", "shape": [64, 64, 3]}, 5),
    ({"kind": "cut", "modality": "video", "shape": [0, 64, 64, 3]}, 0),
    ({"kind": "cut", "modality": "video", "shape": [999, 64, 64, 3]}, 999 * 64 * 64 * 3),
    ({"kind": "cut", "modality": "audio", "shape": [1 << 40]}, 4 << 40),
    ({"kind": "cut", "modality": "audio", "shape": [-1]}, 4),
    ({"kind": "cut", "modality": "text", "shape": [301]}, 301),
    ({"kind": "cut", "modality": "smell", "shape": [1]}, 1),
    ({"kind": "cut", "modality": "text", "shape": "no"}, 1),
    ({"kind": "cut", "modality": "depth", "shape": [64, 64, 3]}, 64 * 64 * 3),
    ({"kind": "cut", "modality": "depth", "shape": [64, 64]}, 64 * 64),
    ({"kind": "cut", "modality": "depth", "shape": [1 << 20, 1 << 20]}, 4 << 40),
    ({"kind": "cut", "modality": "thermal", "shape": [64, 65]}, 4 * 64 * 65),
    ({"kind": "cut", "modality": "imu", "shape": [6, 0]}, 0),
    ({"kind": "cut", "modality": "imu", "shape": [6, 802]}, 4 * 6 * 802),
    ({"kind": "cut", "modality": "imu", "shape": [5, 800]}, 4 * 5 * 800),
    ({"kind": "cut", "modality": "imu", "shape": [6, 800]}, 6 * 800),
    ({"kind": "cut", "modality": "imu", "shape": [4800]}, 4 * 4800),
    ({"kind": "info"}, 10),
])  # fmt: skip
def test_no_memory_is_given_to_what_cannot_be(header, size):
    with pytest.raises(protocol.MalformedError):
        protocol.room(header, size, NEEDS, 8)


@pytest.mark.parametrize("header", [
    {},
    {"kind": "nonsense"},
    {"kind": "gap", "reason": "unheard of", "detail": ""},
    {"kind": "gap", "reason": "empty", "detail": 3},
    {"kind": "info", "modality": "image", "format": "png", "width": -1},
    {"kind": "info", "modality": "image", "format": "png", "width": "1"},
    {"kind": "gap", "reason": "empty", "detail": "", "span": [5, 2, "ms"]},
    {"kind": "gap", "reason": "empty", "detail": "", "span": [1, 2, "hours"]},
    {"kind": "info", "modality": [], "format": "png"},
    {"kind": "cut", "channel": "text", "modality": "text", "source": 5},
    {"kind": "cut", "channel": "text", "modality": "text", "source": ""},
    {"kind": "cut", "channel": "text", "modality": "text", "source": "x" * 201},
    {"kind": "cut", "channel": "text", "modality": "text", "source": "film\u202etrs.ed"},
    {"kind": "cut", "channel": "text", "modality": "text", "source": "two\nlines"},
    {"kind": "cut", "channel": "text", "modality": "text", "language": "German"},
    {"kind": "cut", "channel": "text", "modality": "text", "language": "DE"},
    {"kind": "cut", "channel": "text", "modality": "text", "language": ["de"]},
])  # fmt: skip
def test_replies_that_make_no_sense_are_refused(header):
    with pytest.raises(protocol.MalformedError):
        protocol.unpack_reply(header, np.empty(0, np.uint8))


def test_long_media_get_more_time_but_a_claim_of_years_does_not():
    clock = WallLimit(10)
    clock.extend(Info(Modality.VIDEO, "mp4", duration_ms=120_000))
    assert clock._left == pytest.approx(30)
    clock.extend(Cut(Channel.SOUND, Modality.AUDIO, Span(0, 60_000), "x"))
    assert clock._left == pytest.approx(30)
    clock.extend(Info(Modality.VIDEO, "mp4", duration_ms=10**12))
    assert clock._left == pytest.approx(10 + 10 * 24 * 60)


def test_needs_reach_the_decoder(pool, red):
    assert decode(pool, red, Needs(32, "squash", 8000, 1000, 50)).content.shape == (32, 32, 3)
