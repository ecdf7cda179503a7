"""Masks by an installed model: SAM (arXiv 2304.02643) or SAM 2 (2408.00714), instead of separating colours.

``mask:REPOSITORY`` is a repository of the hub, ``mask:FOLDER`` a folder with the same layout. Code in a repository is never run, and
weights must be safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.encoders import lacking, offline
from search.encoders.known_models import MODEL_FAMILIES, KnownModel
from search.encoders.weights import PRETRAINED
from search.errors import InputError, UnknownName
from search.models import Models, ModelSource, is_repository, named

if TYPE_CHECKING:  # torch takes seconds to import
    from search.ondemand.segmenter import Segmenter

FAMILY = "mask"

KNOWN = ("facebook/sam2.1-hiera-tiny", "facebook/sam2.1-hiera-small", "facebook/sam-vit-base")
"""Repositories that the authors publish."""


def known() -> list[KnownModel]:
    """The models that the authors publish, for the list of models."""
    return [KnownModel(f"{FAMILY}:{rest}", MODEL_FAMILIES[FAMILY].takes, None, source(rest).licence) for rest in KNOWN]


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("mask model", rest, KNOWN)
    files = (*PRETRAINED, "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
    return ModelSource(rest, files, licence=MODEL_FAMILIES[FAMILY].licence if rest in KNOWN else "")


def load(masker: str, models: Models, device: str = "auto") -> Segmenter:
    """Load the model that a setting names: ``mask:REPOSITORY``, or a folder.

    Raises:
        InputError: none is named.
        UnknownName: the name is of another family.
        ModelMissing: its weights are not here, or are not what they should be; or a package that it needs is not installed.
    """
    if not masker:
        raise InputError("No model is set that makes masks.", remedy=f"Set SENSORIUM_MASKER to one, such as {FAMILY}:{KNOWN[0]}.")
    name = named(masker, FAMILY)
    if (of := name.partition(":")[0]) != FAMILY:
        raise UnknownName("family of masks", of, [FAMILY])
    model = models.find(name)
    try:
        from search.ondemand.segmenter import load as build

        with offline():
            return build(model, device)
    except ModuleNotFoundError as error:
        raise lacking("detect", error) from error
