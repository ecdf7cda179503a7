"""Code runs inside the confined decoder. It must get nowhere: not to files, not to the network, not to its parent."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time

import imageio_ffmpeg
import psutil
import pytest

from search.errors import MediaError
from search.media import DecodePool, previews
from search.media.sandbox import confine
from search.types import Info
from tests.hostile.parent import memory
from tests.media_samples import colour_of, picture
from tests.unit.media_pool import NEEDS, decode, refusal, settings

pytestmark = [
    pytest.mark.skipif(bool(confine.absent()), reason="this kernel does not grant every protection; sensorium doctor says which"),
    pytest.mark.usefixtures("fresh_decoders"),
]


@pytest.fixture(scope="module")
def taken(fresh_decoders):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.media.sandbox.process._CHILD", "tests.hostile.taken")
        patch.setenv("SENSORIUM_DATABASE_URL", "postgresql://user:hunter2@db/x")
        with DecodePool(settings(decode_seconds=2), 1) as pool:
            yield pool


@pytest.fixture
def order(tmp_path):
    def write(attack, argument=""):
        path = tmp_path / "order.txt"
        path.write_text(json.dumps({"attack": attack, "with": str(argument)}))
        return path

    return write


def decoders():
    return [child for child in psutil.Process().children(recursive=True) if "tests.hostile.taken" in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    """The arguments of a process; none if it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie, too
        return []


def report(pool, path):
    return decode(pool, path, NEEDS).content


def test_the_attacks_can_attack(taken, order):
    """The hook works: what is not forbidden is done and told."""
    assert "LC_" in report(taken, order("environment")) or "PATH" in report(taken, order("environment"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/", "/proc/self/environ", "/proc/self/mem", "/dev/null", "/proc/self/fd/0", __file__, "order.txt"]
)
def test_no_file_is_read(taken, order, path):
    assert report(taken, order("read", path)).startswith("refused")


def test_the_home_and_its_database_are_not_read(taken, order, tmp_path):
    (tmp_path / "sensorium.db").write_text("all that is known")
    assert report(taken, order("read", tmp_path / "sensorium.db")).startswith("refused")


def test_no_file_is_written(taken, order, tmp_path):
    for path in (tmp_path / "new", tmp_path / "order.txt", "/tmp/owned", "/dev/shm/owned"):
        assert report(taken, order("write", path)).startswith("refused")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["order.txt"]


@pytest.mark.parametrize("attack", ["reopen", "change_mode", "change_time", "shorten"])
def test_the_file_that_is_decoded_stays_as_it_is(taken, order, attack):
    path = order(attack)
    before = (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
    assert report(taken, path).startswith("refused")
    assert (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) == before


def test_nobody_is_called(taken, order, listener):
    for attack in ("connect", "send"):
        assert report(taken, order(attack, listener.port)).startswith("refused")
    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"):
        assert report(taken, order("sockets", family)).startswith("refused")
    assert listener.calls == 0


@pytest.mark.parametrize("attack", ["fork", "start_thread"])
def test_nothing_multiplies(taken, order, attack):
    assert report(taken, order(attack)).startswith("refused")
    assert len(decoders()) == 1


@pytest.mark.parametrize("attack", ["execute", "become"])
def test_no_program_is_run(taken, order, attack):
    assert report(taken, order(attack, "/bin/true")).startswith("refused")


@pytest.mark.parametrize("attack", ["trace", "kill", "peek", "own"])
def test_the_parent_is_out_of_reach(taken, order, attack):
    assert report(taken, order(attack, os.getpid())).startswith("refused")
    assert report(taken, order(attack, 1)).startswith("refused")


@pytest.mark.parametrize("attack", ["raise_limits", "eat", "shrink"])
def test_limits_and_shared_memory_stay_as_they_are(taken, order, attack):
    assert report(taken, order(attack)).startswith("refused")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
@pytest.mark.parametrize("number", [
    2, 41, 42, 53, 56, 57, 58, 59, 62, 82, 83, 87, 88, 90, 101, 105, 155, 157, 160, 161, 165, 175, 200, 206, 248, 250, 257, 272, 298, 302, 303, 304,
    308, 310, 311, 317, 319, 321, 322, 323, 425, 428, 430, 434, 435, 437, 438, 444, 448,
])  # fmt: skip
def test_system_calls_that_decoding_does_not_take_are_refused(taken, order, number):
    assert report(taken, order("number", number)).startswith("refused: [Errno 1]" if number != 435 else "refused: [Errno 38]")


def test_passwords_do_not_reach_a_decoder(taken, order):
    assert "hunter2" not in report(taken, order("environment"))


@pytest.mark.parametrize("lie", [
    "noise", "a header without end", "a payload without end", "no JSON", "a deep header", "a long number", "a cut before the info", "two infos",
    "three infos", "a cut after the last info",
    "a mask that nobody asked for", "a mask of any size", "a slot that is not there", "slots that were not taken", "a shape that is too big", "a video of a million frames", "an unknown reason",
    "gaps without end", "a pickle", "half a header",
])  # fmt: skip
def test_lies_end_the_liar_and_cost_nothing(taken, order, tmp_path, lie):
    before = memory("self", "VmRSS")
    with pytest.raises(MediaError) as caught:
        for _ in taken.decode(order("lie", lie), NEEDS):
            pass
    assert caught.value.reason in ("killed", "too_slow")
    assert memory("self", "VmRSS") - before < 50
    assert "LC_" in report(taken, order("environment")) or "PATH" in report(taken, order("environment"))


def test_what_is_said_after_the_end_is_not_taken_for_the_next_answer(taken, order):
    (child,) = decoders()
    assert isinstance(*taken.decode(order("lie", "more after the end"), NEEDS), Info)
    assert not child.is_running()
    assert report(taken, order("environment"))


@pytest.mark.parametrize(
    ("attack", "reason"), [("spin", "too_slow"), ("abort", "killed"), ("hang_up", "too_slow"), ("flood", "too_slow")]
)
def test_a_decoder_that_runs_wild_is_replaced(taken, order, attack, reason):
    assert refusal(taken, order(attack)).reason == reason
    assert report(taken, order("environment"))


def test_a_decoder_that_works_with_nothing_to_do_runs_out_of_time(tmp_path, monkeypatch):
    """The parent takes the processor's time away from a decoder that it gave no file."""
    monkeypatch.setattr("search.media.sandbox.process._CHILD", "search.media.sandbox.child")
    picture("red").save(tmp_path / "a.png")
    with DecodePool(settings(), 1) as pool:
        decode(pool, tmp_path / "a.png")
        (process,) = pool._all
        limit = psutil.Process(process._popen.pid).rlimit(psutil.RLIMIT_CPU)[0]
        assert limit <= time.clock_gettime(~process._popen.pid << 3 | 2) + 3
        assert colour_of(decode(pool, tmp_path / "a.png").content) == "red"


def test_previews_are_confined_as_well(tmp_path, canary):
    """ffmpeg itself, asked to read a file by its name, is not let."""
    (tmp_path / "a.mp4").write_bytes(b"ffconcat version 1.0\nfile '%s'\n" % os.fsencode(canary))
    with pytest.raises(MediaError):
        previews.wave(str(tmp_path / "a.mp4"), 160, 60)
    run = [
        *previews.confined(30),
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        str(canary),
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Permission denied" in done.stderr
