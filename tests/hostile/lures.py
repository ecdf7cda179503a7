"""Files that ask their reader to read others: playlists, drawings, documents, and media that hold such.

Each names a canary outside the archive and a listener on loopback, in all the ways that its format has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.hostile.bombs import chunk, png

SUFFIXES = ("mp4", "mkv", "ts", "avi", "mp3", "wav", "ogg", "mov", "webm", "flv", "jpg", "gif", "tiff", "txt", "srt", "pdf")
"""Names under which each playlist is tried."""


def playlists(canary: Path, port: int) -> dict[str, bytes]:
    """Playlists by format. The canary is a text; where it is asked for as media, it would come out as noise or as subtitles."""
    file, web, plain = f"file://{canary}", f"http://127.0.0.1:{port}/a", str(canary)
    udp = f"udp://127.0.0.1:{port}"
    hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n"
    return {
        name: text.encode()
        for name, text in {
            "hls": f"{hls}#EXTINF:9,\n{file}\n#EXTINF:9,\n{web}\n#EXTINF:9,\n{udp}\n#EXT-X-ENDLIST\n",
            "hls, master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{web}.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n{file}\n",
            "hls, key": f'{hls}#EXT-X-KEY:METHOD=AES-128,URI="{file}"\n#EXTINF:9,\n{web}\n',
            "hls, map": f'{hls}#EXT-X-MAP:URI="{file}",BYTERANGE="9@0"\n#EXTINF:9,\n{web}\n',
            "hls, concat": f"{hls}#EXTINF:9,\nconcat:{web}|subfile,,start,0,end,64,,:{plain}\n",
            "hls, data": f"{hls}#EXTINF:9,\ndata:text/plain,x\n#EXTINF:9,\ncrypto:{plain}\n#EXTINF:9,\ntcp://127.0.0.1:{port}\n",
            "hls, after blanks": f"\n\n  {hls}#EXTINF:9,\n{file}\n",
            "hls, with a mark": f"\ufeff{hls}#EXTINF:9,\n{file}\n#EXTINF:9,\n{web}\n",
            "m3u": f"{plain}\n{web}\n{udp}\n",
            "ffconcat": f"ffconcat version 1.0\nfile '{plain}'\nfile '{web}'\nfile '{udp}'\n",
            "concat, bare": f"file '{plain}'\nfile '{web}'\n",
            "dash": f'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT9S">'
            f"<Period><AdaptationSet><Representation id='1' bandwidth='1'><BaseURL>{web}</BaseURL><SegmentBase/></Representation>"
            f"<Representation id='2' bandwidth='2'><BaseURL>{file}</BaseURL></Representation></AdaptationSet></Period></MPD>",
            "dash, entity": f'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "{file}">]><MPD><Period><BaseURL>&x;</BaseURL></Period></MPD>',
            "smooth": f'<SmoothStreamingMedia MajorVersion="2"><StreamIndex Type="video" Url="{web}"/></SmoothStreamingMedia>',
            "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "smil": f'<smil><body><seq><video src="{file}"/><audio src="{web}"/></seq></body></smil>',
            "pls": f"[playlist]\nNumberOfEntries=2\nFile1={file}\nFile2={web}\n",
            "asx": f'<asx version="3.0"><entry><ref href="{web}"/></entry><entry><ref href="{file}"/></entry></asx>',
            "xspf": f'<?xml version="1.0"?><playlist version="1"><trackList><track><location>{file}</location></track></trackList></playlist>',
            "edl": f"# mpv EDL v0\n{plain},0,5\n{web},0,5\n",
            "cue": f'FILE "{plain}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
            "ffmetadata": f";FFMETADATA1\ntitle={plain}\n",
            "rtsp": f"rtsp://127.0.0.1:{port}/a\n",
            "avisynth": f'AviSource("{plain}")\n',
            "vobsub": f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n{plain}\n",
            "webvtt of hls": f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n00:00.000 --> 00:09.000\n{file}\n",
        }.items()
    }


def disguised(canary: Path, port: int) -> dict[str, bytes]:
    """What Pillow, or a program that it starts, would read, and never may."""
    file, web = f"file://{canary}", f"http://127.0.0.1:{port}/a"
    script = f"({canary}) (r) file 100 string readstring pop print ({web}) run".encode()
    return {
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{file}"/><image href="{web}"/></svg>'.encode(),
        "svg, entity": f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{file}">]><svg><text>&x;</text></svg>'.encode(),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n" + script + b"\nshowpage\n%%EOF\n",
        "eps, binary": b"\xc5\xd0\xd3\xc6" + struct.pack("<IIIIIIH", 32, 200, 0, 0, 0, 0, 0xFFFF) + b"\0\0%!PS-Adobe-3.0 EPSF-3.0\n" + script,
        "fits": b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80) + b"NAXIS   = 2".ljust(80) + b"END".ljust(2640) + bytes(2880),
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(14),
        "ppm": b"P6 4 4 255\n" + bytes(48),
        "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x40\0\0\0\x16\0\0\0" + png(16, 16),
        "tga": b"\0\0\2" + bytes(9) + struct.pack("<HHBB", 4, 4, 24, 0) + bytes(48),
        "icns": b"icns\0\0\0\x40ic07\0\0\0\x38" + png(16, 16),
        "rtf": b"{\\rtf1 {\\field{\\*\\fldinst INCLUDETEXT " + str(canary).encode() + b"}}}",
        "zip": b"PK\3\4" + bytes(60),
        "elf": b"\x7fELF\2\1\1" + bytes(60),
        "script": b"#!/bin/sh\ncat " + str(canary).encode() + b"\n",
    }  # fmt: skip


def smuggled(samples: Mapping[str, bytes], canary: Path, port: int) -> Iterator[tuple[str, str, bytes]]:
    """Good containers with a lure inside: (name, suffix, bytes)."""
    lists = playlists(canary, port)
    hls = lists["hls"]
    note = b"GAB2\0\2\0" + struct.pack("<I", 10) + "lure\0".encode("utf-16-le") + b"\4\0" + struct.pack("<I", len(hls)) + hls
    yield "subtitles of avi", "avi", _with_stream(samples["avi"], note)
    for name in ("hls", "ffconcat", "dash", "m3u"):
        yield f"{name} before a film", "mp4", lists[name] + samples["mp4"]
        yield f"{name} behind a film", "mp4", samples["mp4"] + lists[name]
        yield f"{name} behind a picture", "jpg", samples["jpg"] + lists[name]
        yield f"{name} in a free box", "mp4", _box(b"free", lists[name]) + samples["mp4"]
        yield f"{name} in ogg's place", "ogg", b"OggS" + lists[name]
    yield "data elsewhere", "mov", _elsewhere(samples["mov"], str(canary).encode())
    yield "data elsewhere, on the web", "mov", _elsewhere(samples["mov"], f"http://127.0.0.1:{port}/a".encode())
    yield (
        "movie of movies",
        "mov",
        _box(
            b"moov", _box(b"rmra", _box(b"rmda", _box(b"rdrf", b"\0\0\0\0url " + struct.pack(">I", 99) + str(canary).encode())))
        ),
    )
    yield "profile that is a path", "png", png(64, 64, before=chunk(b"iCCP", str(canary).encode()[:79] + b"\0\0x"))
    yield "words that are a path", "png", png(64, 64, before=chunk(b"tEXt", b"Raw profile type exif\0" + str(canary).encode()))
    link = b"<< /Type /Action /S /URI /URI (%s) >>" % f"http://127.0.0.1:{port}/a".encode()
    yield "pdf that acts", "pdf", samples["pdf"].replace(b"/Type /Catalog", b"/Type /Catalog /OpenAction " + link)
    outside = b"/F (%s) /FFilter /ASCIIHexDecode" % str(canary).encode()
    yield "pdf with its text elsewhere", "pdf", samples["pdf"].replace(b"/Length", outside + b" /Length")
    yield (
        "page with frames",
        "html",
        f'<html><base href="http://127.0.0.1:{port}"><link rel=stylesheet href="{canary}"><iframe src="file://{canary}"></iframe><p>Words</html>'.encode(),
    )


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _elsewhere(film: bytes, place: bytes) -> bytes:
    """A QuickTime film whose samples, it says, lie in another place."""
    rebuilt, at = b"", 0
    while at + 8 <= len(film):
        size, name = int.from_bytes(film[at : at + 4], "big"), film[at + 4 : at + 8]
        body = film[at + 8 : at + size]
        if name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = _elsewhere(body, place)
        elif name == b"dref":
            body = body[:8] + _box(b"url ", bytes(4) + place + b"\0")
        rebuilt, at = rebuilt + _box(name, body), at + max(size, 8)
    return rebuilt


def _with_stream(film: bytes, note: bytes) -> bytes:
    """An AVI with a stream of texts beside its own, which begins with ``note``."""
    head = b"txts" + bytes(4) + bytes(4) + bytes(4) + struct.pack("<IIIIIIIHHHH", 0, 1, 1, 0, 9, 0, 0, 0, 0, 0, 0)
    strl = b"strl" + b"strh" + struct.pack("<I", len(head)) + head + b"strf" + struct.pack("<I", 0)
    added = b"LIST" + struct.pack("<I", len(strl)) + strl
    at = film.index(b"LIST", 12 + 8)
    return film[:at] + added + film[at:] + b"02tx" + struct.pack("<I", len(note)) + note
