"""The openclip family: joint spaces of pictures, video and text, through open_clip.

``openclip:MODEL/PRETRAINED`` is any architecture and checkpoint that open_clip lists, ``openclip:FOLDER`` a folder in open_clip's
hub layout. CLIP is arXiv 2103.00020, SigLIP 2303.15343. The vector of a video is the mean of its frames'. The vector of a text
longer than the tower's context is the mean of its pieces'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.encoders import weights
from search.encoders.known_models import MODEL_FAMILIES
from search.encoders.token_ids import check_size
from search.encoders.weights import broken
from search.errors import ModelMissing, UnknownName
from search.models import Model, ModelSource
from search.types import Space

if TYPE_CHECKING:  # torch takes seconds to import
    from search.encoders.openclip.encoder import OpenClipEncoder

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


def source(rest: str) -> ModelSource:
    """Where the files of ``MODEL/PRETRAINED`` come from.

    Raises:
        UnknownName: open_clip lists no such architecture, or no such checkpoint of it.
        ModelMissing: the checkpoint is published as a pickle alone, or not on the hub.
    """
    import open_clip

    architecture, _, tag = rest.partition("/")
    known = open_clip.list_pretrained()
    if architecture not in (names := {name for name, _ in known}):
        raise UnknownName("openclip model", architecture, names)
    if not (found := open_clip.get_pretrained_cfg(architecture, tag)):
        raise UnknownName(f"checkpoint of {architecture}", tag, (of for name, of in known if name == architecture))
    repository, _, file = found.get("hf_hub", "").rpartition("/")
    remedy = "Take another checkpoint, or convert this one to safetensors yourself and name its folder: openclip:FOLDER."
    if not repository:
        raise ModelMissing(f"The checkpoint {rest} is not on the hub: it is a pickle at {found.get('url')}.", remedy=remedy)
    if file and not file.endswith(".safetensors"):
        raise ModelMissing(f"The checkpoint {rest} is published as a pickle alone: {repository}/{file}.", remedy=remedy)
    return ModelSource(repository, (CONFIG, file or WEIGHTS, "config.json", *weights.TOKENIZER))


def load(model: Model, device: str) -> OpenClipEncoder:
    """Load an encoder from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from search.encoders.device import DeviceRunner
    from search.encoders.openclip import building
    from search.encoders.openclip.encoder import OpenClipEncoder

    runner = DeviceRunner(device)
    file, config, preprocessing = building.configuration(model)
    built = building.build(model.folder, file, config)
    building.fill(built, weights.find(model.folder, WEIGHTS), file)
    tokenizer = building.tokenizer_of(model.folder, file, config["text_cfg"])
    check_size(tokenizer, getattr(built, "text", built).vocab_size, file)
    space = Space(model.name, "openclip", model.rest, model.revision, config["embed_dim"], MODEL_FAMILIES["openclip"].takes)
    needs = building.needs_of(file, preprocessing, built.visual.image_size, runner.batch)
    encoder = OpenClipEncoder(space, needs, runner, built, tokenizer, (preprocessing["mean"], preprocessing["std"]))
    for found in encoder.probe():
        if found != space.dim:
            raise broken(f"{file} says embed_dim {space.dim}, and a tower gives {found}.")
    return encoder
