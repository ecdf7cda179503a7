"""What the program says of models: of each family what it takes and needs, its licence and its notice; and of the models that are known
and recommended, with the figures that their makers published. Figures that were not published or not found are empty.

Loading, downloading, ``sensorium models`` and the tables of the documentation say what stands here.

Parameters and dimensions of OpenCLIP's models follow from its configurations. The cost of a picture is in its
``docs/model_profile.csv``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from search.types import MEDIA, Modality

SIGHT = frozenset({Modality.IMAGE, Modality.VIDEO, Modality.TEXT})
IMAGENET = "ImageNet zero-shot top-1, %"
OPENCLIP = "OpenCLIP, docs/openclip_results.csv"
SIGLIP2 = "big_vision, README_siglip2.md"


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """A family of models.

    takes    what its models look at; those of one may take less
    extra    that brings the packages which it needs; empty: none
    licence  of its weights; empty: each of its models has its own
    notice   that must be accepted before a model is loaded; empty: none
    """

    name: str
    takes: frozenset[Modality]
    extra: str = ""
    licence: str = ""
    notice: str = ""


MODEL_FAMILIES = {
    one.name: one
    for one in (
        ModelFamily("pocket", MEDIA, licence="Apache-2.0; trained on Flickr8k (research use)"),
        ModelFamily("openclip", SIGHT, "openclip"),
        ModelFamily(
            "imagebind", frozenset(Modality), "imagebind", "CC-BY-NC-4.0",
            "The weights of ImageBind are licensed CC-BY-NC 4.0: they may be used for no commercial purpose.",
        ),
        ModelFamily("clap", frozenset({Modality.AUDIO, Modality.TEXT}), "clap"),
        ModelFamily("tips", SIGHT, "tips"),
        ModelFamily("e5", frozenset({Modality.TEXT}), "e5"),
        ModelFamily("onnx", SIGHT),
        ModelFamily("series", frozenset({Modality.IMU})),
        ModelFamily("speech", frozenset({Modality.AUDIO, Modality.VIDEO}), "asr", "MIT"),
        ModelFamily("caption", frozenset({Modality.IMAGE, Modality.VIDEO}), "caption"),
        ModelFamily("detect", frozenset({Modality.IMAGE, Modality.VIDEO}), "detect"),
        ModelFamily("mask", frozenset({Modality.IMAGE, Modality.VIDEO}), "detect", "Apache-2.0"),
        ModelFamily(
            "seamless", frozenset({Modality.TEXT}), "translate", "cc-by-nc-4.0",
            "The weights of SeamlessM4T and NLLB are licensed CC-BY-NC 4.0: not for commercial use.",
        ),
        ModelFamily("imagine", frozenset({Modality.TEXT}), "imagine"),
    )
}  # fmt: skip
"""Encoders, then readers, then what translates and what imagines. ``e5`` alone comes with another extra, ``multilingual``."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is known.

    dim         of its vectors; None: it writes texts
    parameters  in millions, of all its towers together
    gflops      that a picture costs
    quality     as published in ``by``, measured as ``measure`` says
    note        what to know before it is used
    trained_on  data sets, as far as its makers name them: on these its figures are too good
    """

    name: str
    takes: frozenset[Modality]
    dim: int | None
    licence: str = ""
    parameters: float | None = None
    gflops: float | None = None
    quality: float | None = None
    measure: str = ""
    by: str = ""
    note: str = ""
    trained_on: tuple[str, ...] = ()


OURS = ("Flickr8k", "ESC-10", "ESC-50")
"""What the pocket space was trained on. ESC-10 is a part of ESC-50."""

KNOWN = (
    KnownModel("pocket", MEDIA, 768, MODEL_FAMILIES["pocket"].licence, trained_on=OURS),
    KnownModel("pocket:multilingual", MEDIA, 768, f"{MODEL_FAMILIES['pocket'].licence}; E5: MIT", trained_on=OURS),
    KnownModel("e5", frozenset({Modality.TEXT}), 384, "MIT", 117.7),
    KnownModel("e5:intfloat/multilingual-e5-base", frozenset({Modality.TEXT}), 768, "MIT", 278.0),
    KnownModel("e5:intfloat/multilingual-e5-large", frozenset({Modality.TEXT}), 1024, "MIT", 559.9),
    KnownModel("openclip:MobileCLIP2-S2/dfndr2b", SIGHT, 512, parameters=99.2, trained_on=("DFNDR-2B",)),
    KnownModel("openclip:ViT-B-32/laion2b_s34b_b79k", SIGHT, 512, "MIT", 151.3, 8.82, 66.6, IMAGENET, OPENCLIP, trained_on=("LAION-2B",)),
    KnownModel("openclip:ViT-B-16/datacomp_xl_s13b_b90k", SIGHT, 512, "MIT", 149.6, 35.13, 73.5, IMAGENET, OPENCLIP, trained_on=("DataComp-1B",)),
    KnownModel("openclip:ViT-L-14/datacomp_xl_s13b_b90k", SIGHT, 768, "MIT", 427.6, 162.03, 79.2, IMAGENET, OPENCLIP, trained_on=("DataComp-1B",)),
    KnownModel("openclip:ViT-B-16-SigLIP2/webli", SIGHT, 768, "Apache-2.0", 375.2, None, 78.2, IMAGENET, SIGLIP2, trained_on=("WebLI",)),
    KnownModel("openclip:ViT-SO400M-14-SigLIP2/webli", SIGHT, 1152, "Apache-2.0", 1135.5, None, 83.2, IMAGENET, SIGLIP2, trained_on=("WebLI",)),
    KnownModel("openclip:PE-Core-B-16/meta", SIGHT, 1024, "Apache-2.0", 447.7, None, 78.4, IMAGENET, "perception_models, apps/pe/README.md"),
    KnownModel("openclip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", SIGHT, 512, "MIT", 366.1, 8.82, 62.4, IMAGENET, OPENCLIP, trained_on=("LAION-5B",)),
    KnownModel("openclip:nllb-clip-base-siglip/mrl", SIGHT, 768, "CC-BY-NC-4.0"),
    KnownModel("tips:google/tipsv2-b14", SIGHT, 768),
    KnownModel("imagebind:huge", frozenset(Modality), 1024, MODEL_FAMILIES["imagebind"].licence, None, None, 77.7, IMAGENET, "ImageBind, README.md", trained_on=("AudioSet", "SUN RGB-D", "LLVIP", "Ego4D")),
    KnownModel("clap:laion/clap-htsat-unfused", frozenset({Modality.AUDIO, Modality.TEXT}), 512, "Apache-2.0", trained_on=("LAION-Audio-630K",)),
)  # fmt: skip
"""From the lightest of a kind to the heaviest."""


def licence_of(name: str) -> str:
    """The licence of a known model, or of its family; empty: that is not known."""
    of = MODEL_FAMILIES.get(name.partition(":")[0])
    return next((known.licence for known in KNOWN if known.name == name), of.licence if of else "")


def met_in_training(name: str, paths: Iterable[str]) -> list[str]:
    """The data sets that a model was trained on and that paths name in one of their folders, however these spell them."""
    sets = {_spelled(one): one for known in KNOWN if known.name == name for one in known.trained_on}
    folders = {_spelled(part) for path in paths for part in PurePath(path).parts[:-1]}
    return [one for spelled, one in sets.items() if any(spelled in folder for folder in folders)]


def _spelled(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
