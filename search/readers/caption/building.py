"""Models that write about pictures, built from the files of a folder, which are not trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText, AutoProcessor, BlipForQuestionAnswering
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from search.encoders import pretrained
from search.encoders.generation import settle
from search.encoders.pretrained import CONFIG
from search.encoders.weights import TOKENIZER, broken
from search.readers.caption import EXTRACTOR, PROCESSOR
from search.types import Needs

NATIVE = 448
"""Longest side of a picture for models that take any size, in pixels."""

BATCH = {True: 32, False: 8}
"""Pictures at once, on a GPU and without."""

SENTENCE = "Describe the picture in one short sentence."
FRAMES = "These are frames of one video, in order of time. "

_BILINEAR = 2
"""Pillow's number."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The prompts for a kind of model.

    - ``caption``: the prompt for describing a picture; empty: none is needed; None: it does not describe
    - ``question``: the prompt for a question, with ``{}`` in its place; None: it takes none
    - ``chat``: whether prompts go through the model's own chat template
    - ``several``: whether it can look at several pictures at once
    - ``bare``: whether the question is the beginning of the text that it continues
    """

    caption: str | None = ""
    question: str | None = None
    chat: bool = False
    several: bool = False
    bare: bool = False


WORDINGS = {
    "blip": Wording(),
    "git": Wording(question="{}", bare=True),
    "blip-2": Wording(question="Question: {} Answer:"),
    "florence2": Wording(caption="<CAPTION>", question="{}"),
    "paligemma": Wording(caption="<image>caption en", question="<image>answer en {}"),
}
"""Kinds that are no chats. GIT answers where it was trained to, and else goes on with the question."""

SEVERAL = frozenset({
    "aya_vision", "gemma3", "gemma3n", "gemma4", "idefics2", "idefics3", "internvl", "llama4", "llava_onevision", "mistral3", "ovis2",
    "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm",
})  # fmt: skip
"""Kinds that were trained on several pictures at once."""


def configuration(folder: Path) -> Any:  # noqa: ANN401  transformers has no types
    """The configuration in a folder; raises ModelMissing if it is not that of a model that writes about pictures."""
    config = pretrained.configuration(folder)
    if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise broken(
            f"{folder / CONFIG} describes a model of the kind {config.model_type!r}, which does not write about pictures."
        )
    return config


def processor_of(folder: Path) -> Any:  # noqa: ANN401
    """What prepares pictures and texts; raises ModelMissing."""
    if not any((folder / name).exists() for name in TOKENIZER):
        raise broken(f"{folder / 'tokenizer.json'} is not there, nor any other tokenizer: what this model writes cannot be read.")
    processor = pretrained.part(AutoProcessor, folder, (EXTRACTOR, PROCESSOR), "the pictures of this model cannot be prepared")
    if not all(hasattr(processor, name) for name in ("image_processor", "tokenizer")):
        raise broken(f"{folder / EXTRACTOR} and the files beside it make no processor of pictures and texts.")
    if getattr(processor.image_processor, "do_image_splitting", False):  # a dozen parts of a picture, to read small print in it
        processor.image_processor.do_image_splitting = False
        processor.image_processor.size = dict(processor.image_processor.max_image_size)
    return processor


def wording_of(folder: Path, config: Any, processor: Any) -> Wording:  # noqa: ANN401
    """The model's prompts; raises ModelMissing if its kind is unknown."""
    if config.model_type == "blip" and _answers(config):
        return Wording(caption=None, question="{}")
    if (known := WORDINGS.get(config.model_type)) is not None:
        return known
    if getattr(processor, "chat_template", None):
        return Wording(SENTENCE, "{}", chat=True, several=config.model_type in SEVERAL)
    raise broken(
        f"{folder} has no chat template, and how else to speak to a model of the kind {config.model_type!r} is not known."
    )


def needs_of(folder: Path, extractor: Any, on_gpu: bool) -> Needs:  # noqa: ANN401
    """The form of pictures that leaves as little work as possible to the model's own ``extractor``.

    ``pad``: the model takes any shape, and the padding is cut off again.

    Raises:
        ModelMissing: it needs pictures that cannot be made.
    """
    size, batch = _sides(extractor.size), BATCH[on_gpu]
    smooth = "bilinear" if int(getattr(extractor, "resample", None) or 3) == _BILINEAR else "bicubic"
    crop = _sides(getattr(extractor, "crop_size", None)) if getattr(extractor, "do_center_crop", False) else {}
    whole = _sides(getattr(extractor, "max_image_size", None))
    if crop:
        side, fit = crop.get("height", crop.get("shortest_edge", 0)), "crop"
    elif "height" in size and "width" in size:
        side, fit = (size["height"] if size["height"] == size["width"] else 0), "squash"
    elif whole:
        side, fit = whole.get("longest_edge", 0), "squash"
    else:
        side, fit = min(size.get("longest_edge") or NATIVE, NATIVE), "pad"
    if side <= 0:
        raise broken(f"{folder / EXTRACTOR} asks for pictures that cannot be made. Known are squares, and pictures of any size.")
    return Needs(size=side, fit=fit, rate=0, filter=smooth, batch=batch)  # type: ignore[arg-type]  # literals


def build(folder: Path, config: Any, processor: Any) -> Any:  # noqa: ANN401
    """The model with its weights; raises ModelMissing."""
    kind = BlipForQuestionAnswering if config.model_type == "blip" and _answers(config) else AutoModelForImageTextToText
    model = pretrained.build(kind, folder, config)
    settle(model)
    pretrained.check_vocabulary(folder, len(processor.tokenizer), model.get_input_embeddings().num_embeddings)
    if not config.is_encoder_decoder:
        processor.tokenizer.padding_side = "left"  # the answer follows the question
    return model


def _answers(config: Any) -> bool:  # noqa: ANN401
    return "BlipForQuestionAnswering" in (config.architectures or [])


def _sides(size: Any) -> dict[str, int]:  # noqa: ANN401
    """What transformers calls a size, as a mapping."""
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {} if size is None else {name: int(value) for name, value in dict(size).items() if value is not None}
