"""On-screen text: what is written in pictures and videos, read by PP-OCR through rapidocr (arXiv 2507.05595) in ONNX Runtime.

``ocr`` alone reads with what rapidocr ships: PP-OCRv6 small, which knows Chinese, Japanese and Latin letters with nearly all their marks
(ď, ť, þ and ı are often taken for others). Of Greek it knows the letters but not the accents, and mixes up those that look Latin; Cyrillic, Korean,
Arabic and others it cannot read: such lines are found, and told as a gap where they come out empty. ``ocr:NAME`` is a model whose folder holds a
recogniser, a file ``*rec*.onnx`` with its letters inside or in a ``*.txt``, and perhaps a detector ``*det*.onnx``. Nothing is ever fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.models import Model

if TYPE_CHECKING:
    from search.readers.ocr.reader import OcrReader


def load(model: Model | None, device: str) -> OcrReader:  # noqa: ARG001 - it reads on the processor, whatever there is
    """The reader; ``model`` None: what rapidocr ships.

    Raises:
        ModelMissing: a file is not there, is not what it should be, or holds no such network.
        ModuleNotFoundError: rapidocr is not installed.
    """
    from search.readers.ocr.networks import OcrNetworks, given, shipped
    from search.readers.ocr.reader import OcrReader

    return OcrReader(OcrNetworks(given(model) if model else shipped()), model.name if model else "ocr")
