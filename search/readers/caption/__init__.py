"""The caption family: models of transformers that describe pictures and may answer questions about them.

``caption:REPOSITORY`` is a repository of the hub, ``caption:FOLDER`` a folder with the same layout: BLIP (arXiv 2201.12086), GIT
(2205.14100), Florence-2 (2311.06242), PaliGemma (2407.07726), and every model built into transformers that takes pictures in a
chat, such as SmolVLM (2504.05299). Code in a repository is never run, and weights must be safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.encoders.weights import PRETRAINED, broken
from search.errors import UnknownName
from search.models import Model, ModelSource, is_repository

if TYPE_CHECKING:  # torch takes seconds to import
    from search.readers.caption.reader import Captioner
    from search.readers.caption.writer import Writer

EXTRACTOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"

FILES = (*PRETRAINED, EXTRACTOR, PROCESSOR, "video_preprocessor_config.json", "chat_template.j*")

KNOWN = (
    "Salesforce/blip-image-captioning-base", "Salesforce/blip-image-captioning-large", "Salesforce/blip-vqa-base",
    "microsoft/git-base-coco", "microsoft/git-base-vqav2", "florence-community/Florence-2-base",
    "HuggingFaceTB/SmolVLM-256M-Instruct", "HuggingFaceTB/SmolVLM-500M-Instruct",
)  # fmt: skip
"""Repositories whose kinds are known to work; there are many more."""


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("caption model", rest, KNOWN)
    return ModelSource(rest, FILES)


def load(model: Model | None, device: str) -> Captioner:
    """Load a reader from the files of ``model``.

    Raises:
        UnknownName: no model was named.
        ModelMissing: a file is missing or is not what it should be, the device is not there, or the model only answers questions.
    """
    from search.readers.caption.reader import Captioner

    if model is None:
        raise UnknownName("caption model", "", KNOWN)
    writer = writer_of(model, device)
    if not writer.describes:
        raise broken(f"The model in {model.folder} answers questions, and describes nothing by itself.")
    return Captioner(model, writer)


def writer_of(model: Model, device: str) -> Writer:
    """Load the model that writes captions and answers; raises ModelMissing as ``load`` does."""
    from search.encoders.device import DeviceRunner
    from search.readers.caption import building
    from search.readers.caption.writer import Writer

    runner = DeviceRunner(device)
    config = building.configuration(model.folder)
    processor = building.processor_of(model.folder)
    wording = building.wording_of(model.folder, config, processor)
    needs = building.needs_of(model.folder, processor.image_processor, runner.on_gpu)
    return Writer(model.name, needs, runner, building.build(model.folder, config, processor), processor, wording)
