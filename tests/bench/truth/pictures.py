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

SIZE = (480, 320)
PRIMARIES = {
    "srgb": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "adobe": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    "prophoto": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
}
"""XYZ of red, green and blue under D50."""
GAMMAS = {"srgb": 2.2, "p3": 2.2, "adobe": 2.2, "prophoto": 1.8}


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
    for name, chunks in PNG_CHUNKS.items():
        yield Case(f"{name}.png", "PNG", partial(_png, chunks=chunks), shown)
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


def _png(path: Path, _: Path, *, chunks: Sequence[tuple[bytes, bytes]]) -> None:
    info = PngImagePlugin.PngInfo()
    for kind, data in chunks:
        info.add(kind, data)
    Image.fromarray(chart(*SIZE, rich=0.6)).save(path, pnginfo=info)


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


def through(name: str, rgb: np.ndarray) -> np.ndarray:
    """Values as they are: the profile says what they mean."""
    return (rgb.astype(np.float64) * 0.6 + 50).round().astype(np.uint8)


def rgb_of_p3(rgb: np.ndarray) -> np.ndarray:
    """What those values are in sRGB, by arithmetic."""
    light = (through("p3", rgb) / 255.0) ** GAMMAS["p3"]
    xyz = light @ np.array(PRIMARIES["p3"])
    plain = (xyz @ np.linalg.inv(np.array(PRIMARIES["srgb"]))).clip(0, 1)
    return (np.where(plain <= 0.0031308, 12.92 * plain, 1.055 * plain ** (1 / 2.4) - 0.055) * 255).round().astype(np.uint8)


def tiff(
    pixels: np.ndarray,
    *,
    photometric: int | None = None,
    planar: bool = False,
    rows: int | None = None,
    kind: int = 1,
    icc: bytes = b"",
    turned: int = 1,
) -> bytes:
    """A TIFF without compression, little-endian, from (H, W) or (H, W, channels). ``kind``: 1 whole numbers, 3 floating point."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    pixels = pixels.reshape(height, width, channels)
    photometric = (2 if channels == 3 else 1) if photometric is None else photometric
    rows = rows or height
    planes = [pixels[..., number : number + 1] for number in range(channels)] if planar else [pixels]
    strips = [np.ascontiguousarray(plane[top : top + rows]).tobytes() for plane in planes for top in range(0, height, rows)]
    body, places = b"II*\0\0\0\0\0", []
    for strip in strips:
        places.append(len(body))
        body += strip + b"\0" * (len(strip) % 2)
    bits = pixels.dtype.itemsize * 8
    tags: list[tuple[int, int, Sequence[int] | bytes]] = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 3, [1]), (262, 3, [photometric]), (273, 4, places), (274, 3, [turned]),
        (277, 3, [channels]), (278, 4, [rows]), (279, 4, [len(strip) for strip in strips]), (284, 3, [2 if planar else 1]), (339, 3, [kind] * channels),
    ]  # fmt: skip
    if photometric == 5:
        tags.append((332, 3, [1]))
    if icc:
        tags.append((34675, 7, icc))
    tags.sort()
    entries = b""
    for tag, form, values in tags:
        data = (
            values if isinstance(values, bytes) else b"".join(struct.pack("<H" if form == 3 else "<I", value) for value in values)
        )
        count = len(values)
        if len(data) > 4:
            place = len(body)
            body += data + b"\0" * (len(data) % 2)
            data = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, form, count) + data.ljust(4, b"\0")
    whole = bytearray(body + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0")
    whole[4:8] = struct.pack("<I", len(body))
    return bytes(whole)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(tags: dict[bytes, bytes], space: bytes, kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile, version 2.1, of these tags."""
    text = b"generated for tests"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * 78,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249),
        **tags,
    }
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = (
        struct.pack(">I4sI4s4s4s", place + len(body), b"none", 0x02100000, kind, space, pcs)
        + struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
        + b"acsp"
    )
    head = head.ljust(68, b"\0") + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return head.ljust(128, b"\0") + table + body


def icc(name: str) -> bytes:
    """A profile of three primaries and one gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMAS[name] * 256))
    tags = {b"rgbXYZ"[at : at + 1] + b"XYZ": b"XYZ \0\0\0\0" + b"".join(map(_fixed, PRIMARIES[name][at])) for at in range(3)}
    return _profile(tags | {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}, b"RGB ")


def grey_icc(gamma: float) -> bytes:
    return _profile({b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))}, b"GRAY")


def cmyk_icc() -> bytes:
    """A profile of a press whose inks are duller than light: a table of 7 steps an ink into Lab."""
    steps = np.linspace(0, 1, 7)
    cyan, magenta, yellow, black = np.meshgrid(steps, steps, steps, steps, indexing="ij")
    inks = np.array([[0.0, 0.55, 0.75], [0.75, 0.08, 0.40], [0.95, 0.85, 0.10]])
    light = np.ones((*cyan.shape, 3))
    for amount, ink in zip((cyan, magenta, yellow), inks, strict=True):
        light *= 1 - amount[..., None] * (1 - ink)
    light = (light * (1 - 0.92 * black[..., None])) ** 2.2
    xyz = light @ np.array(PRIMARIES["srgb"]) / np.array([0.9642, 1.0, 0.8249])
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], -1)
    coded = np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128], -1).round().clip(0, 255).astype(np.uint8)
    plain = bytes(range(256))
    table = (
        b"mft1\0\0\0\0"
        + bytes([4, 3, 7, 0])
        + b"".join(_fixed(one) for one in (1, 0, 0, 0, 1, 0, 0, 0, 1))
        + plain * 4
        + coded.tobytes()
        + plain * 3
    )
    return _profile({b"A2B0": table}, b"CMYK", b"prtr", b"Lab ")
