"""Export of a model to ONNX. The export is kept only if it finds what the original finds.

Cosines between both models' vectors say little; search results matter. So both rank a calibration set, and the export is refused
if its ranking is worse.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from search.disk import sync
from search.encoders import lacking
from search.encoders.onnx import FILES, OnnxEncoder
from search.errors import ExportRefused, InputError, UnknownName
from search.models import Model, Models
from search.types import Modality, Needs, Picture, Vectors

if TYPE_CHECKING:
    from search.encoders.graphs import Original

PRECISIONS = ("fp32", "int8")

MIN_PICTURES = 50
"""The minimum number of pictures in a calibration set. With fewer, half a point of recall means nothing."""

COMPARED_RESULTS = 10
"""The number of top results that are compared."""

MAX_RECALL_LOSS = 0.005
"""The largest allowed loss of R@1, R@5 and R@10: half a point."""


@dataclass(frozen=True, slots=True)
class ExportSample:
    """The data for comparing an export: pictures as the model's ``Needs`` say, texts and, if known, which picture each text
    describes.

    ``pairs[i]`` is the number of the picture that ``texts[i]`` describes; empty: not known.
    """

    images: Sequence[Picture]
    texts: Sequence[str]
    pairs: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """How an export compares with the original; shares between 0 and 1.

    ``agreement`` is the share of the first ten that are the same in both, averaged over all queries, by direction. ``recall``
    has, for each of R@1, R@5 and R@10 of texts finding their picture, the value of the original and of the export; empty if pairs
    are not known.
    """

    asked: str
    precision: dict[str, str]
    images: int
    texts: int
    agreement: dict[str, float]
    recall: dict[str, tuple[float, float]]
    bytes: dict[str, int]
    notes: tuple[str, ...] = ()


def needs(folder: Path) -> Needs:
    """The picture format that the model in a folder needs, for reading a calibration set.

    Raises:
        InputError, ModelMissing: as ``export``.
    """
    sheet = _original(folder).sheet
    return Needs(sheet["size"], sheet["fit"], rate=0, filter=sheet["filter"])


def export(source: Path, out: Path, calibration: ExportSample, precision: str = "fp32", least: float = 0.995) -> Report:
    """Export the model in ``source``, a folder in OpenCLIP's hub layout, to the new folder ``out``.

    ``least`` is the required agreement, in both directions. Independently of it, recall may drop by at most ``MAX_RECALL_LOSS``. If the
    export is refused, nothing stays on disk.

    Raises:
        UnknownName: there is no such precision.
        InputError: ``out`` exists, the calibration set is too small, or the model cannot be exported.
        ModelMissing: a package of the extra ``export`` is not installed.
        ExportRefused: the export finds less than the original.
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    if out.exists():
        raise InputError(f"{out} exists already.", remedy="Name a new folder, or delete this one.")
    if len(calibration.images) < MIN_PICTURES or not calibration.texts:
        raise InputError(
            f"The calibration set has {len(calibration.images)} pictures and {len(calibration.texts)} texts.",
            remedy=f"Give a folder with at least {MIN_PICTURES} pictures, and texts: x.txt beside x.jpg.",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        draft.chmod(0o755)  # others may read models too
        report = _write(source, draft, calibration, precision, least)
        for path in (*draft.iterdir(), draft):
            sync(path)
        draft.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return report


def _original(folder: Path) -> Original:
    try:
        from search.encoders import graphs
    except ModuleNotFoundError as error:
        raise lacking("export", error) from error
    return graphs.read(folder)


def _write(source: Path, draft: Path, calibration: ExportSample, precision: str, least: float) -> Report:
    original = _original(source)
    from search.encoders import graphs

    (draft / "tokenizer.json").write_text(original.tokenizer, "utf-8")
    precisions = graphs.write(original, draft, precision)
    revision = Models(draft.parent).find(f"openclip:{source}").revision
    sheet = {"name": source.name, "revision": revision, **original.sheet, "precision": precisions}
    _write_sheet(draft, sheet)
    model = Models(draft.parent).find(f"onnx:{draft}")
    report = _judge(_AsItWas(original, model), OnnxEncoder(model), calibration, least, precision, precisions)
    _write_sheet(draft, {**sheet, "report": asdict(report)})
    return report


def _write_sheet(folder: Path, sheet: dict[str, Any]) -> None:
    sha256 = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    (folder / "export.json").write_text(json.dumps({**sheet, "sha256": sha256}, indent=1) + "\n", "utf-8")


class _AsItWas(OnnxEncoder):
    """The original model with the pixels and tokens of its export, but always with the full context."""

    def __init__(self, original: Original, exported: Model) -> None:
        super().__init__(exported)
        self._sheet |= {"trimmed": False, "precision": {"vision": "fp32", "text": "fp32"}}
        self._original = original

    def _see(self, pixels: NDArray[np.uint8]) -> Vectors:
        return self._original.see(pixels)

    def _read(self, ids: NDArray[np.int64]) -> Vectors:
        return self._original.read(ids)


def _judge(
    before: OnnxEncoder, after: OnnxEncoder, on: ExportSample, least: float, asked: str, precision: dict[str, str]
) -> Report:
    """Compare the rankings of both; raises ExportRefused if the export's ranking is worse."""
    old_images, new_images = (encoder.encode(Modality.IMAGE, on.images) for encoder in (before, after))
    old_texts, new_texts = (encoder.encode(Modality.TEXT, on.texts) for encoder in (before, after))
    agreement = {
        "text->image": _agreement(old_texts @ old_images.T, new_texts @ new_images.T),
        "image->image": _agreement(_others(old_images), _others(new_images)),
    }
    recall = {}
    if on.pairs:
        ranks = [_ranks(texts @ images.T, on.pairs) for texts, images in ((old_texts, old_images), (new_texts, new_images))]
        recall = {f"R@{k}": (float((ranks[0] < k).mean()), float((ranks[1] < k).mean())) for k in (1, 5, 10)}
    sizes = {name: (after.folder / name).stat().st_size for name in FILES}
    report = Report(asked, precision, len(on.images), len(on.texts), agreement, recall, sizes, _notes(asked, precision))
    if failed := _failed(report, least):
        raise ExportRefused(
            f"The export in {asked} finds less than the original: {'; '.join(failed)}.",
            remedy="Export it in fp32." if asked == "int8" else "Use the model as it is, with its own framework.",
            report=report,
        )
    return report


def _failed(report: Report, least: float) -> list[str]:
    """The parts of a report that are not good enough, with both figures."""
    failed = [
        f"{way} {share:.1%} of the first {COMPARED_RESULTS} are the original's, {least:.1%} are wanted"
        for way, share in report.agreement.items()
        if share < least
    ]
    failed += [
        f"{name} is {new:.1%}, the original's {old:.1%}"
        for name, (old, new) in report.recall.items()
        if new < old - MAX_RECALL_LOSS - 1e-9
    ]
    return failed


def _notes(asked: str, precision: dict[str, str]) -> tuple[str, ...]:
    kept = [tower for tower, of in precision.items() if of != asked]
    return tuple(f"{tower} stays fp32: it is convolutional, and would be slower in int8" for tower in kept)


def _others(images: Vectors) -> NDArray[np.float32]:
    """The similarities between pictures (n, dim), without each picture's similarity to itself."""
    scores = images @ images.T
    np.fill_diagonal(scores, -np.inf)
    return scores


def _agreement(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """The share of the first ten of each row that are the same in both (queries, pictures)."""
    first, second = (np.argsort(-scores, axis=1, kind="stable")[:, :COMPARED_RESULTS] for scores in (before, after))
    return float(np.mean([len(np.intersect1d(*pair)) for pair in zip(first, second, strict=True)])) / COMPARED_RESULTS


def _ranks(scores: NDArray[np.float32], pairs: Sequence[int]) -> NDArray[np.int64]:
    """How many pictures rank before the one that each text (a row of ``scores``) describes."""
    right = scores[np.arange(len(pairs)), np.asarray(pairs)]
    return cast("NDArray[np.int64]", (scores > right[:, None]).sum(axis=1))
