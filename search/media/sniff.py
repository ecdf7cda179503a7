"""The type of a file, from its first bytes. The name decides only between kinds of text, where the bytes say nothing, and for
sensor data.

Sensor data look like other files, so their name must say what they are. A picture with one channel is ``depth`` or ``thermal`` if
its name ends so before the suffix, as ``a.depth.png`` beside the photo ``a.jpg``, or if its folder has that name; a coloured
picture stays an image. A table of motion readings or positions is a ``.csv`` named ``a.imu.csv``, ``a.gps.csv`` or ``a.track.csv``, or
in a folder of such a name. The file's name takes precedence over the folder's; case is ignored.
"""

from __future__ import annotations

import codecs
import importlib.util
import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from search.errors import MediaError
from search.types import Modality

HEAD_BYTES = 4096
"""Bytes that ``sniff`` wants to see, in bytes."""
MAX_SUFFIX_CHARACTERS = 32
"""Characters that a suffix may have."""

_SUFFIXES = {
    Modality.IMAGE: "jpg jpeg jpe jfif png apng webp avif gif tif tiff bmp dib heic heif hif jp2 j2k jpf jpx jpc tga ppm pgm pbm pnm psd exr",
    Modality.VIDEO: "mp4 m4v mov mkv webm avi ts mts m2ts mpg mpeg 3gp ogv flv wmv vob vro m2t m2v m1v mpe mpv 3g2 3gpp qt f4v asf divx "
    "dv mxf gxf ogm mk3d tp trp ivf y4m h264 264 avc hevc h265 265 insv lrv",
    Modality.AUDIO: "wav mp3 flac ogg oga m4a m4b opus aac aif aiff caf mka wma weba mp2 mpa w64 rf64 bwf aifc au snd ac3 eac3 ec3 wv amr awb "
    "ape tta m4r 3ga adts spx",
    Modality.TEXT: "txt text md markdown rst html htm xhtml srt vtt ass ssa ttml dfxp lrc scc pdf docx docm odt",
    Modality.IMU: "gpx",
}

_RAW = "3fr arw cr2 cr3 crw dcr dng erf fff iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
_EXTRAS: dict[str, tuple[str, Modality, str]] = {
    "raw": ("rawpy", Modality.IMAGE, _RAW),
    "fit": ("fitdecode", Modality.IMU, "fit"),
    "jxl": ("pylibjxl", Modality.IMAGE, "jxl"),
}
"""Extras that bring readers of media: the module that each installs, what the media are, and their suffixes."""

_UNREAD = (
    "psb hdr dpx cin fits svg svgz eps ai xcf kra djvu "
    "rm rmvb wtv dvr-ms r3d braw ari swf mlv dsf dff mpc mp+ shn tak ra mid midi "
    "doc rtf epub mobi azw3 pages xls xlsx ods ppt pptx odp key msg eml mbox"
)
_TAKEN, _MISSING = dict[str, Modality](), dict[str, str]()
for _extra, (_module, _modality, _names) in _EXTRAS.items():
    if importlib.util.find_spec(_module):
        _TAKEN |= dict.fromkeys((f".{name}" for name in _names.split()), _modality)
    else:
        _MISSING |= dict.fromkeys((f".{name}" for name in _names.split()), _extra)

EXTENSIONS: Mapping[str, Modality] = MappingProxyType(
    {f".{suffix}": modality for modality, suffixes in _SUFFIXES.items() for suffix in suffixes.split()} | _TAKEN
)
"""Lower-case suffix with its dot -> what such a file usually holds. Those of extras only where these are installed."""

_READERLESS = frozenset(f".{name}" for name in _UNREAD.split()) | frozenset(_MISSING)
"""Suffixes of media and documents that no reader takes."""

_SENSED = {"depth": Modality.DEPTH, "thermal": Modality.THERMAL, "imu": Modality.IMU, "gps": Modality.IMU, "track": Modality.IMU}
_TABLE = ".csv"

JXL_FILE, JXL_STREAM = b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"
"""The first bytes of JPEG XL: of a file of boxes, and of a bare code stream."""
_MAGIC: tuple[tuple[int, bytes, Modality], ...] = (
    (0, b"\xff\xd8\xff", Modality.IMAGE),
    (0, b"\x89PNG\r\n\x1a\n", Modality.IMAGE),
    (0, b"GIF87a", Modality.IMAGE),
    (0, b"GIF89a", Modality.IMAGE),
    (0, b"II*\0", Modality.IMAGE),
    (0, b"MM\0*", Modality.IMAGE),
    (0, b"II+\0", Modality.IMAGE),
    (0, b"MM\0+", Modality.IMAGE),
    (0, b"\x1aE\xdf\xa3", Modality.VIDEO),
    (0, b"\0\0\x01\xba", Modality.VIDEO),
    (0, b"\0\0\x01\xb3", Modality.VIDEO),
    (0, b"FLV\x01", Modality.VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Modality.VIDEO),
    (0, b"ID3", Modality.AUDIO),
    (0, b"fLaC", Modality.AUDIO),
    (0, b"caff", Modality.AUDIO),
    (0, b"RF64", Modality.AUDIO),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", Modality.AUDIO),
    (0, b".snd\0\0\0", Modality.AUDIO),
    (0, b"wvpk", Modality.AUDIO),
    (0, b"MAC ", Modality.AUDIO),
    (0, b"TTA1", Modality.AUDIO),
    (0, b"#!AMR", Modality.AUDIO),
    (0, b"\x7f\xfe\x80\x01", Modality.AUDIO),
    (0, b"DKIF\0\0", Modality.VIDEO),
    (0, b"YUV4MPEG2 ", Modality.VIDEO),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01", Modality.VIDEO),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", Modality.IMAGE),
    (0, b"\xff\x4f\xff\x51\0", Modality.IMAGE),
    (0, JXL_FILE, Modality.IMAGE),
    (30, b"mimetypeapplication/vnd.oasis.opendocument.text", Modality.TEXT),
    (3, b"STL23.01", Modality.TEXT),
    (3, b"STL24.01", Modality.TEXT),
    (3, b"STL25.01", Modality.TEXT),
    (3, b"STL30.01", Modality.TEXT),
    (3, b"STL50.01", Modality.TEXT),
    (0, b"8BPS\0\1", Modality.IMAGE),
    (8, b".FIT", Modality.IMU),
    (0, b"\x76\x2f\x31\x01", Modality.IMAGE),
)
_RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"IIU\0\x18\0\0\0")
"""Of Fujifilm, Olympus and Panasonic."""
_PACKED, _DOCUMENTS = b"PK\3\4", (".docx", ".docm", ".odt")
"""The first bytes of ZIP archives, and the suffixes of documents that are such archives."""
_RIFF = {b"WAVE": Modality.AUDIO, b"AVI ": Modality.VIDEO, b"WEBP": Modality.IMAGE}
_NETPBM = re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d{1,6}\s+(?:#[^\n]*\n\s*)*\d{1,6}\s")
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_FOREIGN = re.compile(
    rb"\s*(?:#EXTM3U|ffconcat version|v=0\r?\no=|\[playlist\]|%!PS|\{\\rtf"
    rb"|(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg|<svg|<MPD|<SmoothStreamingMedia|<asx))",
    re.IGNORECASE | re.DOTALL,
)
"""Playlists (which make ffmpeg read other files), PostScript, RTF and drawings: text, but not prose."""


def is_media(path: str) -> bool:
    """Whether a file has the name of a media file."""
    return os.path.splitext(path)[1].lower() in EXTENSIONS or sensed(path) is Modality.IMU


def is_readerless(path: str) -> bool:
    """Whether a file has the name of media or of a document in a format that no reader takes."""
    return suffix_of(path) in _READERLESS


def extra_of(suffix: str) -> str | None:
    """The extra that reads files with a suffix such as ``.nef`` and is not installed here."""
    return _MISSING.get(suffix)


def is_raw_name(suffix: str) -> bool:
    """Whether a suffix, with its dot, is one of cameras' raw pictures. Many of these begin like a TIFF."""
    return suffix[1:] in _RAW.split()


def is_raw_head(head: bytes) -> bool:
    """Whether a file has the first bytes of a camera's raw picture and of nothing else."""
    return (
        head.startswith(_RAW_MAGIC)
        or (head[4:8] == b"ftyp" and head[8:12] == b"crx ")
        or (head[:4] == b"II*\0" and head[8:10] == b"CR")
    )


def suffix_of(path: str) -> str:
    """A file's suffix in lower case with its dot, or nothing."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix if len(suffix) <= MAX_SUFFIX_CHARACTERS and suffix.isprintable() else ""


def is_media_inside(head: bytes) -> bool:
    """Whether a file without a media name is certainly media: it has a signature that nothing else has."""
    return _marked(head) is not None


def sensed(path: str) -> Modality | None:
    """The sensor of a file, if its name or its folder gives one."""
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name.lower())
    of = _SENSED.get(os.path.splitext(stem)[1][1:]) or _SENSED.get(os.path.basename(folder).lower())
    return of if (of is Modality.IMU) == (suffix == _TABLE) else None


def ending(name: str) -> str:
    """The part of a file's name that gives its type, such as ``.png`` or ``.depth.png``; empty if it has no media name."""
    name = os.path.basename(name)
    suffix = os.path.splitext(name)[1].lower()
    return (f".{of}" if (of := sensed(name)) else "") + suffix if is_media(name) else ""


def sniff(head: bytes, suffix: str, hint: Modality | None = None) -> Modality:
    """The type of a file from its first ``HEAD_BYTES`` bytes. If these are ambiguous, its suffix and the result of ``sensed`` decide.

    Only decoding shows whether a video has pictures, and whether a picture has one channel or colours: the decoder's ``Info`` is
    final.

    Raises:
        MediaError: ``empty``; ``not_text``, a text's name over binary data; ``undecodable``, a picture's, sound's or video's name over a text; ``unsupported``, an unknown type.
    """
    if not head:
        raise MediaError("empty", "the file has no bytes")
    named = EXTENSIONS.get(suffix.lower())
    found = Modality.TEXT if is_packed(head) and suffix.lower() in _DOCUMENTS else _binary(head)
    if found is not None:
        return hint if hint and found is Modality.IMAGE and hint is not Modality.IMU else found
    if _FOREIGN.match(head):
        raise MediaError("unsupported", "a playlist, a drawing or a document in a format that is not read")
    if is_text(head):
        if Modality.IMU in (hint, named):
            return Modality.IMU
        if named not in (None, Modality.TEXT):
            raise MediaError("undecodable", f"named {suffix} like {_an(named)}, but holds a text")
        return Modality.TEXT
    if named is Modality.TEXT or hint is Modality.IMU:
        raise MediaError("not_text", f"named {suffix} like a text, but holds binary data")
    if named is None:
        raise MediaError("unsupported", "neither a known format nor a text")
    return named


def is_packed(head: bytes) -> bool:
    """Whether a file begins like a ZIP archive."""
    return head.startswith(_PACKED)


def is_text(head: bytes) -> bool:
    """Whether bytes could be text: a byte order mark, or no NUL and hardly any control characters."""
    if head.startswith(_BOMS):
        return True
    return b"\0" not in head and len(head.translate(None, _CONTROLS)) >= 0.98 * len(head)


def _binary(head: bytes) -> Modality | None:
    return _marked(head) or _unmarked(head)


def _marked(head: bytes) -> Modality | None:
    """Formats with a signature that nothing else has."""
    for offset, magic, modality in _MAGIC:
        if head.startswith(magic, offset):
            return modality
    if head.startswith(_RAW_MAGIC):
        return Modality.IMAGE
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Modality.AUDIO
    if head[:4] == b"OggS":
        return Modality.VIDEO if b"theora" in head[:512] else Modality.AUDIO
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _iso(head)
    if b"%PDF-" in head[:1024]:
        return Modality.TEXT
    return None


def _iso(head: bytes) -> Modality:
    """An ISO base media file, by its brands (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return Modality.VIDEO
    size = min(int.from_bytes(head[:4], "big"), 256)
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, size, 4)}
    if brands & {b"avif", b"avis", b"crx "} or is_heif(head):
        return Modality.IMAGE
    return Modality.AUDIO if head[8:12] in (b"M4A ", b"M4B ", b"F4A ") else Modality.VIDEO


def is_heif(head: bytes) -> bool:
    """Whether a file begins like a HEIF picture that is not AVIF."""
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def is_jxl(head: bytes) -> bool:
    """Whether a file begins like a JPEG XL picture."""
    return head.startswith((JXL_FILE, JXL_STREAM))


def _unmarked(head: bytes) -> Modality | None:
    """Formats whose signature is short: PPM and its kin, JPEG XL without boxes, BMP, MPEG transport streams, bare MP3 and AAC frames."""
    if _NETPBM.match(head) or head.startswith(JXL_STREAM):
        return Modality.IMAGE
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return Modality.IMAGE
    for start in (0, 4):
        period = 188 + start
        marks = head[start : start + 3 * period : period]
        if len(head) >= start + 2 * period and set(marks) == {0x47}:
            return Modality.VIDEO
    if len(head) > 4 and head[0] == 0xFF and head[1] != 0xFE and _is_frame(head):  # FF FE marks UTF-16
        return Modality.AUDIO
    return None


def _is_frame(head: bytes) -> bool:
    """The fixed bits of an ADTS header, or those of an MPEG audio frame: layer, bit rate, sampling rate in range."""
    if head[1] & 0xF6 == 0xF0:
        return head[2] >> 2 & 0xF < 13
    return (
        head[1] & 0xE0 == 0xE0
        and head[1] & 6 != 0
        and head[1] & 0x18 != 8
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0xC != 0xC
    )


def _an(modality: Modality | None) -> str:
    return {"image": "a picture", "audio": "sound", "video": "a video"}.get(str(modality), "something else")
