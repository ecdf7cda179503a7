"""Well-formed files of every format that is read: what the damaged ones are made of."""

from __future__ import annotations

import io
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.bench.report import SAMPLE
from tests.media_samples import IMAGES, SOUNDS, VIDEOS, pdf, picture, tone, write_sound, write_video

RARE_IMAGES = ("jp2", "tga", "ppm")
RARE_SOUNDS = {
    "aac": ("adts", "aac", "fltp"), "aiff": ("aiff", "pcm_s16be", "s16"), "caf": ("caf", "pcm_s16be", "s16"), "w64": ("w64", "pcm_s16le", "s16"),
    "au": ("au", "pcm_s16be", "s16"), "ac3": ("ac3", "ac3", "fltp"), "mp2": ("mp2", "mp2", "s16"), "wv": ("wv", "wavpack", "s16p"),
}  # fmt: skip
"""Suffix -> container, codec and form of the samples."""
RARE_VIDEOS = {
    "flv": ("flv", "flv"), "mpg": ("mpeg", "mpeg2video"), "wmv": ("asf", "wmv2"), "mxf": ("mxf", "mpeg2video"), "m2v": ("mpeg2video", "mpeg2video"),
    "3g2": ("3g2", "mpeg4"),
}  # fmt: skip
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    b"<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' photoshop:City='Ulm'>"
    b"<dc:title><rdf:Alt><rdf:li xml:lang='en'>A red bus</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
)
TEXTS = {
    "srt": b"1\n00:00:01,000 --> 00:00:03,000\nA red bus stops.\n\n2\n00:00:04,000 --> 00:00:06,000\nA dog barks.\n",
    "vtt": b"WEBVTT\n\n00:01.000 --> 00:03.000\nA red bus stops.\n",
    "html": b"<!DOCTYPE html><html><head><title>Bus</title></head><body><p>A red bus stops.</p><table><tr><td>12</table></body></html>",
    "md": b"# The bus\n\nA red bus stops at the corner, and nobody gets off.\n",
    "txt": "Ein roter Bus hält an der Ecke.\n\nUn autobús rojo.\n".encode(),
    "imu.csv": b"t,ax,ay,az,gx,gy,gz\n" + b"".join(b"%d,0.1,-0.2,9.81,0,0.5,1e-3\n" % time for time in range(0, 3000, 10)),
    "xmp": XMP,
    "pdf": pdf("A red bus stops.", "A dog barks."),
}
DOCX = (
    b"<?xml version='1.0'?><w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body>"
    b"<w:p><w:r><w:t>A red bus stops at the corner.</w:t></w:r></w:p><w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>A dog</w:t></w:r></w:p></w:body></w:document>"
)
CORE = b"<c xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:dcterms='http://purl.org/dc/terms/'><dc:title>Bus</dc:title><dcterms:created>2019-07-14T12:20:56Z</dcterms:created></c>"
ODT = (
    b"<o:document-content xmlns:o='urn:oasis:names:tc:opendocument:xmlns:office:1.0' xmlns:t='urn:oasis:names:tc:opendocument:xmlns:text:1.0'>"
    b"<o:body><o:text><t:h>The bus</t:h><t:p>A red<t:s t:c='3'/>bus stops.<t:tab/></t:p></o:text></o:body></o:document-content>"
)


def write(folder: Path) -> dict[str, bytes]:
    """Suffix -> the bytes of a small good file; some with a word before it, such as ``exif``, ``anim`` or ``depth``."""
    made: dict[str, bytes] = dict(TEXTS)
    for suffix in (*IMAGES, *RARE_IMAGES):
        picture("red").save(folder / f"a.{suffix}")
    for suffix in SOUNDS:
        write_sound(folder / f"a.{suffix}", tone(440, 1.0))
    for suffix in VIDEOS:
        write_video(folder / f"a.{suffix}", [("red", 1.0), ("blue", 1.0)], sound=tone(440, 2.0))
    made["docx"] = packed({"word/document.xml": DOCX, "docProps/core.xml": CORE, "word/media/a.png": b"\x89PNG"})
    made["odt"] = packed({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": ODT})
    for suffix, (form, codec, kind) in RARE_SOUNDS.items():
        _encode(folder / f"a.{suffix}", form, codec, kind)
    for suffix, codec in (("mkv", "subrip"), ("mp4", "mov_text")):
        _subtitled(folder / f"subtitled.{suffix}", codec)
        made[f"subtitled.{suffix}"] = (folder / f"subtitled.{suffix}").read_bytes()
    for suffix, (form, codec) in RARE_VIDEOS.items():
        _encode(folder / f"a.{suffix}", form, codec)
    made |= {path.suffix[1:]: path.read_bytes() for path in folder.iterdir() if path.stem == "a"}
    frames = [picture(colour) for colour in ("red", "green", "blue")]
    for suffix in ("gif", "png", "webp", "tiff"):
        made[f"anim.{suffix}"] = saved(frames[0], suffix, save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    made["exif.jpg"] = saved(frames[0], "jpeg", exif=exif)
    exif[0x010E], exif[0x9C9E] = "A red bus.", "bus;red".encode("utf-16-le")
    for suffix in ("jpeg", "webp", "avif"):
        made[f"written.{suffix}"] = saved(frames[0], suffix, exif=exif, xmp=XMP)
    made["progressive.jpg"] = saved(frames[0], "jpeg", progressive=True)
    made["deep.tiff"] = saved(Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80)), "tiff", compression="tiff_lzw")
    made["depth.png"] = saved(Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80)), "png")
    made["thermal.tiff"] = saved(Image.fromarray(np.linspace(280, 310, 4800, dtype=np.float32).reshape(60, 80)), "tiff")
    for name in ("images/husky.jpg", "images/lion.jpg", "images/ladybird.webp", "images/jetty.avif", "images/heron.gif"):
        made[f"sample.{Path(name).suffix[1:]}"] = (SAMPLE / name).read_bytes()
    return made


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def packed(parts: dict[str, bytes]) -> bytes:
    """A ZIP archive, as DOCX and ODT files are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _encode(path: Path, form: str, codec: str, kind: str = "") -> None:
    """A second of green pictures in a container that the other samples lack; with the form of samples ``kind``, a second of tone instead."""
    with av.open(str(path), "w", format=form) as container:
        if not kind:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            pixels = np.asarray(picture("green", (128, 96)))
            frames = [av.VideoFrame.from_ndarray(pixels, "rgb24") for _ in range(25)]
        else:
            stream = container.add_stream(codec, rate=44100, layout="mono")
            wave = tone(440, 1.0)[: 43 * 1024].reshape(43, 1, 1024)
            wave = wave if kind == "fltp" else (wave * 32767).astype(np.int16)
            frames = [av.AudioFrame.from_ndarray(part, kind, "mono") for part in wave]
        for number, frame in enumerate(frames):
            frame.pts = number * 1024 if kind else number
            if kind:
                frame.sample_rate = 44100
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _subtitled(path: Path, codec: str) -> None:
    """Subtitles alone, with a second of green pictures before them."""
    with av.open(str(path), "w") as container:
        stream, texts = container.add_stream("libx264", rate=25), container.add_stream(codec)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        texts.time_base, texts.codec_context.subtitle_header = Fraction(1, 1000), b"[Script Info]\n"
        container.metadata["title"] = "The bus"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture("green", (128, 96))), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for start in range(0, 1000, 100):
            text = b"<i>A red bus %d.</i>" % start
            packet = av.Packet(len(text).to_bytes(2, "big") + text if codec == "mov_text" else text)
            packet.stream, packet.time_base, packet.duration = texts, Fraction(1, 1000), 90
            packet.pts = packet.dts = start
            container.mux(packet)
