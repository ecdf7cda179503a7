"""The tips family: joint spaces of pictures and text (TIPSv2, Google 2026), through transformers' ``Tipsv2Model``.

``tips:REPOSITORY`` is a repository of the hub, ``tips:FOLDER`` a folder with the same layout. Pictures are squashed to the size of the
model, and not normalised. The vector of a text longer than the 64 tokens of the model is the mean of its pieces'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.encoders import weights
from search.encoders.token_ids import HubTokenizer
from search.errors import UnknownName
from search.models import Model, ModelSource, is_repository
from search.types import Needs, Space

if TYPE_CHECKING:  # torch takes seconds to import
    from search.encoders.tips.encoder import TipsEncoder

CONFIG, WEIGHTS = "config.json", "model.safetensors"

KNOWN = ("google/tipsv2-b14",)
"""Repositories that the authors publish and that are known here."""


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("tips model", rest, KNOWN)
    return ModelSource(rest, (CONFIG, WEIGHTS, *weights.TOKENIZER))


def load(model: Model, device: str) -> TipsEncoder:
    """Load an encoder from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from transformers import Tipsv2Model

    from search.encoders import pretrained
    from search.encoders.device import DeviceRunner
    from search.encoders.tips.encoder import ACCEPTS, TipsEncoder

    runner, config = DeviceRunner(device), pretrained.configuration(model.folder)
    if config.model_type != "tipsv2":
        raise weights.broken(f"{model.folder / CONFIG} describes a model of the kind {config.model_type!r}, and not tipsv2.")
    built = pretrained.build(Tipsv2Model, model.folder, config)
    tokenizer = HubTokenizer(model.folder, config.text_config.max_position_embeddings)
    pretrained.check_vocabulary(model.folder, tokenizer.size, config.text_config.vocab_size)
    size = config.vision_config.image_size
    needs = Needs(size=size if isinstance(size, int) else size[0], fit="squash", rate=0, filter="bilinear", batch=runner.batch)
    space = Space(model.name, "tips", model.rest, model.revision, config.text_config.hidden_size, ACCEPTS)
    return TipsEncoder(space, needs, runner, built, tokenizer)
