"""Content credentials: sixty generated files of which it is known how they were made, and what reading credentials costs.

They are read as in a run, in a confined decoder, with fetching off. Besides the plain cases: links to credentials elsewhere, credentials in a file
of their own with the right and with another picture, edits of what a model made, of what was changed after signing, and new signatures that
leave out what was there.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from PIL import Image

from search.media import DecodePool
from search.media.metadata import provenance
from search.media.source import Limits, Source
from search.settings import Settings
from search.types import Credentials, Modality, Origin
from tests.bench.report import Figure, Skipped
from tests.signed import chain, created, picture, signed

FORMS = (
    ("JPEG", "image/jpeg", "jpg", 1),
    ("PNG", "image/png", "png", 1),
    ("WEBP", "image/webp", "webp", 1),
    ("JPEG", "image/jpeg", "jpg", 8),
)
"""Pillow's format, media type, suffix, and how many times 64 by 48 pixels."""

ROUNDS, MOST_MS = 200, 2.0
GRADED = [{"action": "c2pa.color_adjustments"}]
VALID, INVALID, REMOTE, TRUSTED = Credentials.VALID, Credentials.INVALID, Credentials.REMOTE, Credentials.TRUSTED


def run() -> Iterator[Figure]:
    try:
        import c2pa  # noqa: F401
    except ImportError:
        raise Skipped("the extra provenance is not installed") from None
    with tempfile.TemporaryDirectory() as folder:
        made = list(cases(Path(folder)))
        (anchors := Path(folder, "anchors.pem")).write_bytes(chain("Trusted")[2])
        with DecodePool(Settings(home=Path(folder), trust_anchors=str(anchors)), 1) as pool:
            wrong = []
            for path, expected in made:
                found = pool.provenance(path).provenance
                if (found.credentials, found.origin) != expected:
                    wrong.append(f"{path.name}: {found}, not {expected}")
    for one in wrong:
        print(f"    {one}")
    yield Figure(f"files judged right of {len(made)}", len(made) - len(wrong), "files", least=len(made))
    provenance.learn()
    for name, content in (("signed", signed(picture(), created("digitalCapture"))[0]), ("unsigned", picture())):
        yield Figure(
            f"processor time beyond decoding, a {name} JPEG of {len(content) / 1e3:.0f} kB", _cost(content), "ms", most=MOST_MS
        )


def cases(folder: Path) -> Iterator[tuple[Path, tuple[Credentials | None, Origin | None]]]:
    """The files, each with what is to be said of it."""
    for number, (form, media, suffix, times) in enumerate(FORMS):
        for name, content, beside, expected in _of_a_form(form, media, times):
            path = folder / f"{name}-{number}.{suffix}"
            path.write_bytes(content)
            if beside is not None:
                path.with_suffix(".c2pa").write_bytes(beside)
            yield path, expected


def _of_a_form(
    form: str, media: str, times: int
) -> Iterator[tuple[str, bytes, bytes | None, tuple[Credentials | None, Origin | None]]]:
    def plain(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
        made = io.BytesIO()
        Image.new("RGB", (64 * times, 48 * times), colour).save(made, form)
        return made.getvalue()

    def sign(content: bytes, actions: list, **more: object) -> tuple[bytes, bytes]:
        return signed(content, actions, form=media, **more)  # type: ignore[arg-type]

    generated, camera = created("trainedAlgorithmicMedia"), created("digitalCapture")
    by_model, by_camera = sign(plain(), generated)[0], sign(plain(), camera)[0]
    mixed = sign(plain(), created("compositeWithTrainedAlgorithmicMedia"))[0]
    yield "unsigned", plain(), None, (None, None)
    yield "camera", by_camera, None, (VALID, Origin.CAPTURED)
    yield "model", by_model, None, (VALID, Origin.GENERATED)
    yield "mixed", mixed, None, (VALID, Origin.EDITED)
    yield "model-edited", sign(by_model, GRADED, edits=True)[0], None, (VALID, Origin.GENERATED)
    yield (
        "model-edited-twice",
        sign(sign(by_model, GRADED, edits=True)[0], GRADED, edits=True)[0],
        None,
        (VALID, Origin.GENERATED),
    )
    yield "camera-edited", sign(by_camera, GRADED, edits=True)[0], None, (VALID, None)
    yield "changed", _flipped(by_camera), None, (INVALID, None)
    yield "parent-changed", sign(_flipped(by_camera), GRADED, edits=True)[0], None, (VALID, None)
    yield "signed-anew", sign(by_model, camera, signer="Other")[0], None, (VALID, Origin.CAPTURED)
    yield "link", sign(plain(), camera, link="https://example.org/a.c2pa", embed=False)[0], None, (REMOTE, None)
    alone, beside = sign(plain(), generated, embed=False)
    yield "beside", alone, beside, (VALID, Origin.GENERATED)
    yield "beside-another", plain((1, 2, 3)), beside, (INVALID, None)
    yield "component", sign(plain(), created("digitalCreation"), components=[by_model])[0], None, (VALID, Origin.EDITED)
    yield "trusted", sign(plain(), camera, signer="Trusted")[0], None, (TRUSTED, Origin.CAPTURED)


def _flipped(content: bytes) -> bytes:
    """A file with a byte of its picture changed."""
    at = max(content.rfind(mark) for mark in (b"\xff\xda\0\x0c", b"IDAT", b"VP8 ")) + 30
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _cost(content: bytes) -> float:
    """Milliseconds of processor time that looking for what a file states takes."""
    limits = Limits(10**8, 100, 1 << 30, ("jpeg",))
    spent = []
    for _ in range(ROUNDS):
        source = Source(io.BytesIO(content), len(content), content[:4096], ".jpg")
        began = time.process_time()
        provenance.find(source, Modality.IMAGE, limits, looks=True)
        spent.append(time.process_time() - began)
    return median(spent) * 1000
