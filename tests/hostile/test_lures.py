"""The lures are alive, and what watches them sees: else the other tests would prove nothing."""

from __future__ import annotations

import socket
import subprocess

import imageio_ffmpeg
import pytest

from search.media import previews
from tests.hostile import lures
from tests.hostile.conftest import was_read
from tests.waiting import LONG, until

CARELESS = ("-protocol_whitelist", "file,http,tcp,udp,rtp,crypto,data,subfile,concat,fd")


def careless(path, *options):
    """What a program does that takes any file for media, in the way of its own choice."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "quiet", *CARELESS, *options]
    subprocess.run([*command, "-t", "1", "-i", str(path), "-f", "null", "-"], timeout=LONG, check=False)


def test_the_listener_hears(listener):
    socket.create_connection(("127.0.0.1", listener.port)).close()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", listener.port))
    until(lambda: listener.calls == 2)
    assert listener.calls == 2


def test_the_canary_tells(canary):
    assert not was_read(canary)
    canary.read_bytes()
    assert was_read(canary)


@pytest.mark.parametrize(
    ("lure", "options"),
    [
        ("hls, master", ("-f", "hls", "-allowed_extensions", "ALL", "-extension_picky", "0")),
        ("hls", ("-f", "hls", "-allowed_extensions", "ALL", "-extension_picky", "0")),
        ("ffconcat", ("-f", "concat", "-safe", "0")),
    ],
)
def test_a_careless_program_follows_a_playlist(canary, listener, tmp_path, lure, options):
    path = tmp_path / "lure.mp4"
    path.write_bytes(lures.playlists(canary, listener.port)[lure])
    careless(path, *options)
    assert listener.calls or was_read(canary)


@pytest.mark.parametrize("lure", ["hls, master", "hls", "dash", "ffconcat", "sdp", "concat, bare"])
def test_previews_follow_none(canary, listener, tmp_path, lure):
    path = tmp_path / "lure.mp4"
    path.write_bytes(lures.playlists(canary, listener.port)[lure])
    with pytest.raises(previews.MediaError):
        previews.wave(str(path), 160, 60)
    assert listener.calls == 0
    assert not was_read(canary)
