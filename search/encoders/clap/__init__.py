"""The clap family: joint spaces of sound and text (CLAP, arXiv 2211.06687), through transformers' ``ClapModel``.

``clap:REPOSITORY`` is a repository of the hub, ``clap:FOLDER`` a folder with the same layout. The model's own feature extractor
repeats or pads windows of sound to the ten seconds of its training. The vector of a text longer than the training captions is the
mean of its pieces'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.encoders import weights
from search.encoders.known_models import MODEL_FAMILIES
from search.encoders.token_ids import HubTokenizer, check_size
from search.errors import UnknownName
from search.models import Model, ModelSource, is_repository
from search.types import Needs, Space

if TYPE_CHECKING:  # torch takes seconds to import
    from search.encoders.clap.encoder import ClapEncoder

CONFIG, WEIGHTS, EXTRACTOR = "config.json", "model.safetensors", "preprocessor_config.json"

KNOWN = (
    "laion/clap-htsat-fused", "laion/clap-htsat-unfused", "laion/larger_clap_general", "laion/larger_clap_music",
    "laion/larger_clap_music_and_speech",
)  # fmt: skip
"""Repositories that the authors publish."""

MAX_TOKENS = 77
"""Tokens of a caption in training, start and end among them."""


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("clap model", rest, KNOWN)
    return ModelSource(rest, (CONFIG, WEIGHTS, EXTRACTOR, "processor_config.json", *weights.TOKENIZER))


def load(model: Model, device: str) -> ClapEncoder:
    """Load an encoder from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from search.encoders.clap import building
    from search.encoders.clap.encoder import ClapEncoder
    from search.encoders.device import DeviceRunner

    runner = DeviceRunner(device)
    extractor = building.extractor(model.folder)
    built = building.build(model.folder)
    tokenizer = HubTokenizer(model.folder, MAX_TOKENS)
    check_size(tokenizer, built.config.text_config.vocab_size, model.folder / CONFIG)
    space = Space(model.name, "clap", model.rest, model.revision, built.config.projection_dim, MODEL_FAMILIES["clap"].takes)
    needs = Needs(size=0, fit="squash", rate=extractor.sampling_rate, batch=runner.batch)
    return ClapEncoder(space, needs, runner, built, tokenizer, extractor)
