"""The detect family: models of transformers that find things by words, wherever they are in a picture.

``detect:REPOSITORY`` is a repository of the hub, ``detect:FOLDER`` a folder with the same layout: OWLv2 (arXiv 2306.09683), OmDet-Turbo
(2403.06892), Grounding DINO (2303.05499) and MM-Grounding-DINO (2401.02361). They look for the labels that they are given, which may be
any words. Code in a repository is never run, and weights must be safetensors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.encoders.weights import PRETRAINED
from search.errors import InputError, UnknownName
from search.models import Model, ModelSource, is_repository
from search.types import LONGEST_LABEL

if TYPE_CHECKING:  # torch takes seconds to import
    from search.readers.detect.reader import ThingReader

LABELLED = True

MOST_LABELS = 5_000

EXTRACTOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"

FILES = (*PRETRAINED, EXTRACTOR, PROCESSOR)

KNOWN = (
    "google/owlv2-base-patch16-ensemble", "google/owlv2-large-patch14-ensemble", "omlab/omdet-turbo-swin-tiny-hf",
    "IDEA-Research/grounding-dino-tiny", "IDEA-Research/grounding-dino-base",
    "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
)  # fmt: skip
"""Repositories whose kinds are known to work; there are more."""


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("detect model", rest, KNOWN)
    return ModelSource(rest, FILES)


def load(model: Model | None, device: str, labels: Sequence[str] = ()) -> ThingReader:
    """Load a reader that looks for things with ``labels``.

    Raises:
        UnknownName: no model was named.
        InputError: a label is empty or too long, or there are too many.
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from search.readers.detect.building import detector_of
    from search.readers.detect.reader import ThingReader

    if model is None:
        raise UnknownName("detect model", "", KNOWN)
    return ThingReader(model, detector_of(model.folder, device, checked(labels)))


def checked(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels with plain spaces, each once, in their order.

    Raises:
        InputError: one is empty or too long, or there are too many.
    """
    plain = tuple(dict.fromkeys(" ".join(one.split()) for one in labels))
    for one in plain:
        if not re.search(r"\w", one) or len(one) > LONGEST_LABEL:
            raise InputError(
                f"{one[:40]!r} is no label.", remedy=f"A label has a letter or a digit, and at most {LONGEST_LABEL} characters."
            )
    if len(plain) > MOST_LABELS:
        raise InputError(f"{len(plain):,} labels are too many.", remedy=f"Give at most {MOST_LABELS:,}.")
    return plain
