"""The ImageBind spaces: one space for pictures, video, text, sound, depth, heat and motion (Girdhar et al. 2023, arXiv
2305.05665).

The folder of a model holds ``imagebind_huge.safetensors``, the official weights under their official names. It may also hold a
``config.json`` of ours with the sizes (``towers.Sizes``); the default are those of ``huge``. The licence of the weights forbids
commercial use.
"""

from __future__ import annotations

from search.encoders import Encoder
from search.encoders.known_models import MODEL_FAMILIES
from search.errors import UnknownName
from search.models import Model, ModelSource


def load(model: Model, device: str) -> Encoder:
    """The encoder of a model on a device.

    Raises:
        ModelMissing: the weights are not there, or are not those of such a model; or the device is not there.
    """
    from search.encoders.imagebind.encoder import ImageBindEncoder

    return ImageBindEncoder(model, device)


def source(rest: str) -> ModelSource:
    """Where the weights of ``imagebind:huge`` come from.

    Raises:
        UnknownName: there is no such model.
    """
    if rest != "huge":
        raise UnknownName("model of imagebind", rest, ["huge"])
    family = MODEL_FAMILIES["imagebind"]
    return ModelSource("nielsr/imagebind-huge", ("model.safetensors",), licence=family.licence, notice=family.notice)
