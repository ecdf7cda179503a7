"""Stills: turned ones, with colour profiles, deep ones, of several pages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests.bench.truth.case import Case, Pages, Picture
from tests.bench.truth.drawing import chart, drawn, still
from tests.bench.truth.profiles import PRIMARIES, cmyk_icc, grey_icc, icc, rgb_of_p3, through
from tests.bench.truth.tiff import tiff

SIZE = (480, 320)


def cases() -> Iterator[Case]:
    shown, rgb = Picture(), chart(*SIZE)

    def save(name: str, kind: str, **options: object) -> Case:
        return Case(name, kind, lambda path, _: still(path, rgb, **options), shown)

    yield save("plain.jpg", "stills", quality=92)
    yield save("plain.png", "stills")
    yield save("plain.webp", "stills", quality=92)
    yield save("plain.avif", "stills", quality=90)
    yield save("plain.bmp", "stills")
    yield save("plain.gif", "stills")
    for turn in (2, 4, 5, 6, 7, 8):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield save(f"exif-{turn}.jpg", "turned", quality=92, exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield save("exif-6.webp", "turned", quality=92, exif=exif)
    yield save("exif-6.png", "turned", exif=exif)
    for name in PRIMARIES:
        profile = icc(name)
        yield save(f"icc-{name}.jpg", "profiles", quality=92, icc_profile=profile)
        yield save(f"icc-{name}.png", "profiles", icc_profile=profile)
    yield save("icc-p3.webp", "profiles", quality=92, icc_profile=icc("p3"))
    yield save("icc-adobe.avif", "profiles", quality=90, icc_profile=icc("adobe"))
    yield Case(
        "grey-linear.jpg",
        "profiles",
        lambda path, _: Image.fromarray(rgb).convert("L").save(path, quality=92, icc_profile=grey_icc(1.0)),
        shown,
    )
    cmyk = Image.fromarray(rgb).convert("CMYK")
    yield Case("cmyk.jpg", "profiles", lambda path, _: cmyk.save(path, quality=92), shown)
    yield Case("cmyk-icc.jpg", "profiles", lambda path, _: cmyk.save(path, quality=92, icc_profile=cmyk_icc()), shown)
    for name, profile in {"damaged": icc("p3")[:200], "of-inks": cmyk_icc(), "of-grey": grey_icc(1.0)}.items():
        yield save(f"icc-{name}.jpg", "profiles", quality=92, icc_profile=profile)
    yield Case(
        "grey-of-colours.jpg",
        "profiles",
        lambda path, _: Image.fromarray(rgb).convert("L").save(path, quality=92, icc_profile=icc("prophoto")),
        shown,
    )
    for name, codes in {"p3": (12, 13), "bt2020": (9, 14), "linear": (1, 8), "pq": (9, 16), "hlg": (9, 18)}.items():
        yield Case(f"nclx-{name}.avif", "profiles", partial(_avif, codes=codes), shown)
    for name, chunks in PNG_CHUNKS.items():
        yield Case(f"{name}.png", "PNG", partial(_png, chunks=chunks), shown)
    yield Case("cicp-and-icc.png", "PNG", partial(_png, chunks=PNG_CHUNKS["cicp-p3"], profile=icc("prophoto")), shown)
    yield Case("16-bit.png", "PNG", _png16, shown)
    alpha = np.concatenate(
        [rgb, np.where(np.arange(SIZE[0])[None, :, None] < 240, 255, 0).repeat(SIZE[1], 0).astype(np.uint8)], 2
    )
    for suffix in ("png", "webp", "avif"):
        yield Case(
            f"hidden-colours.{suffix}",
            "alpha",
            lambda path, _: Image.fromarray(alpha).save(path, **({"lossless": True} if path.suffix == ".webp" else {})),
            shown,
        )
    for name, make, right in tiffs(rgb):
        yield Case(name, "TIFF", make, Picture(pixels=right))
    yield from pages()


def pages() -> Iterator[Case]:
    """Pages and slides, each with a number from 1 on; what is hidden tells a greater one."""
    for name, count, options in (
        ("slides.gif", 12, {"duration": 2000}), ("forty.gif", 40, {"duration": 500}), ("slides.webp", 12, {"duration": 2000}), ("scan.tif", 8, {}),
        ("fax.tif", 5, {"compression": "group4"}), ("slides.png", 9, {"duration": 2000}), ("slides.avif", 6, {"duration": 1000}),
    ):  # fmt: skip
        yield Case(name, "pages", partial(_paged, count=count, options=options), Pages(count))
    yield Case(
        "hidden-first.png",
        "pages",
        partial(_paged, count=4, options={"duration": 1000, "default_image": True}, hidden=99),
        Pages(4),
    )


def _paged(path: Path, _: Path, *, count: int, options: dict, hidden: int | None = None) -> None:
    numbers = [*([hidden] if hidden else []), *range(1, count + 1)]
    some = [Image.fromarray(drawn(number, number, (640, 480))) for number in numbers]
    if options.get("compression") == "group4":
        some = [one.convert("L").point(lambda value: 255 * (value > 128)).convert("1") for one in some]
    some[0].save(path, save_all=True, append_images=some[1:], **options)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG_CHUNKS: dict[str, Sequence[tuple[bytes, bytes]]] = {
    "gama-linear": [(b"gAMA", struct.pack(">I", 100000))],
    "gama-1.8": [(b"gAMA", struct.pack(">I", 55556))],
    "chrm-p3": [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
    ],
    "cicp-p3": [(b"cICP", bytes([12, 13, 0, 1]))],
    "cicp-bt2020": [(b"cICP", bytes([9, 13, 0, 1]))],
    "cicp-pq": [(b"cICP", bytes([9, 16, 0, 1]))],
    "cicp-hlg": [(b"cICP", bytes([9, 18, 0, 1]))],
    "srgb-chunk": [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455))],
}
"""Name -> chunks that say what the values mean."""


def _avif(path: Path, _: Path, *, codes: tuple[int, int]) -> None:
    """An AVIF whose primaries and transfer have these code points, which Pillow does not write."""
    Image.fromarray(chart(*SIZE, rich=0.6)).save(path, quality=90)
    content = bytearray(path.read_bytes())
    place = content.index(b"colrnclx") + 8
    content[place : place + 4] = struct.pack(">HH", *codes)
    path.write_bytes(content)


def _png(path: Path, _: Path, *, chunks: Sequence[tuple[bytes, bytes]], profile: bytes | None = None) -> None:
    info = PngImagePlugin.PngInfo()
    for kind, data in chunks:
        info.add(kind, data)
    Image.fromarray(chart(*SIZE, rich=0.6)).save(path, pnginfo=info, icc_profile=profile)


def _png16(path: Path, _: Path) -> None:
    """Sixteen bits a channel, written by hand, since Pillow cannot."""
    rows = (chart(*SIZE).astype(">u2") * 257).reshape(SIZE[1], -1)
    body = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(body)) + _chunk(b"IEND", b""))


def tiffs(rgb: np.ndarray) -> Iterator[tuple[str, Callable[[Path, Path], object], np.ndarray]]:
    """(name, what makes it, how it must look): kinds of TIFF that scanners, microscopes and programs write."""
    grey = rgb.astype(np.float64).mean(2).round().astype(np.uint8)
    grey3, deep = np.repeat(grey[..., None], 3, 2), rgb.astype("<u2") * 257
    unit = rgb.astype(np.float32) / 255

    def made(*arguments: object, **options: object) -> Callable[[Path, Path], object]:
        return lambda path, _: path.write_bytes(tiff(*arguments, **options))  # type: ignore[arg-type]

    yield "rgb-8.tif", made(rgb), rgb
    yield "rgb-8-planar.tif", made(rgb, planar=True), rgb
    yield "rgb-16.tif", made(deep), rgb
    yield "rgb-16-planar.tif", made(deep, planar=True), rgb
    yield "rgb-16-planar-strips.tif", made(deep, planar=True, rows=32), rgb
    yield "grey-8-white-is-zero.tif", made(255 - grey, photometric=0), grey3
    yield "grey-16.tif", made(grey.astype("<u2") * 257), grey3
    yield "grey-16-white-is-zero.tif", made(65535 - grey.astype("<u2") * 257, photometric=0), grey3
    yield "grey-32.tif", made(grey.astype("<u4") * 16843009), grey3
    yield "grey-float.tif", made(grey.astype("<f4") / 255, kind=3), grey3
    yield "rgb-float.tif", made(unit, kind=3), rgb
    yield "cmyk.tif", made(np.asarray(Image.fromarray(rgb).convert("CMYK")), photometric=5), rgb
    yield "icc-p3.tif", made(through("p3", rgb), icc=icc("p3")), rgb_of_p3(rgb)
    yield "rgb-8-upside-down.tif", made(rgb[::-1], turned=4), rgb
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        options = {"compression": compression, **({"quality": 95} if compression == "jpeg" else {})}
        yield f"{compression}.tif", partial(lambda path, _, options: still(path, rgb, **options), options=options), rgb
