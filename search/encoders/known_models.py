"""Known, recommended models, with the figures that their makers published. Figures that were not published or not found are
empty.

Parameters and dimensions of OpenCLIP's models follow from its configurations. The cost of a picture is in its
``docs/model_profile.csv``.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.types import MEDIA, Modality

SIGHT = frozenset({Modality.IMAGE, Modality.VIDEO, Modality.TEXT})
IMAGENET = "ImageNet zero-shot top-1, %"
OPENCLIP = "OpenCLIP, docs/openclip_results.csv"
SIGLIP2 = "big_vision, README_siglip2.md"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is known.

    dim         of its vectors; None: it writes texts
    parameters  in millions, of all its towers together
    gflops      that a picture costs
    quality     as published in ``by``, measured as ``measure`` says
    note        what to know before it is used
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


KNOWN = (
    KnownModel("pocket", MEDIA, 768, "Apache-2.0; trained on Flickr8k (research use)"),
    KnownModel("pocket:multilingual", MEDIA, 768, "Apache-2.0; trained on Flickr8k (research use); E5: MIT"),
    KnownModel("e5", frozenset({Modality.TEXT}), 384, "MIT", 117.7),
    KnownModel("e5:intfloat/multilingual-e5-base", frozenset({Modality.TEXT}), 768, "MIT", 278.0),
    KnownModel("e5:intfloat/multilingual-e5-large", frozenset({Modality.TEXT}), 1024, "MIT", 559.9),
    KnownModel("openclip:MobileCLIP2-S2/dfndr2b", SIGHT, 512, parameters=99.2),
    KnownModel("openclip:ViT-B-32/laion2b_s34b_b79k", SIGHT, 512, "MIT", 151.3, 8.82, 66.6, IMAGENET, OPENCLIP),
    KnownModel("openclip:ViT-B-16/datacomp_xl_s13b_b90k", SIGHT, 512, "MIT", 149.6, 35.13, 73.5, IMAGENET, OPENCLIP),
    KnownModel("openclip:ViT-L-14/datacomp_xl_s13b_b90k", SIGHT, 768, "MIT", 427.6, 162.03, 79.2, IMAGENET, OPENCLIP),
    KnownModel("openclip:ViT-B-16-SigLIP2/webli", SIGHT, 768, "Apache-2.0", 375.2, None, 78.2, IMAGENET, SIGLIP2),
    KnownModel("openclip:ViT-SO400M-14-SigLIP2/webli", SIGHT, 1152, "Apache-2.0", 1135.5, None, 83.2, IMAGENET, SIGLIP2),
    KnownModel("openclip:PE-Core-B-16/meta", SIGHT, 1024, "Apache-2.0", 447.7, None, 78.4, IMAGENET, "perception_models, apps/pe/README.md"),
    KnownModel("openclip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", SIGHT, 512, "MIT", 366.1, 8.82, 62.4, IMAGENET, OPENCLIP),
    KnownModel("openclip:nllb-clip-base-siglip/mrl", SIGHT, 768, "CC-BY-NC-4.0"),
    KnownModel("imagebind:huge", frozenset(Modality), 1024, "CC-BY-NC-4.0", None, None, 77.7, IMAGENET, "ImageBind, README.md"),
    KnownModel("clap:laion/clap-htsat-unfused", frozenset({Modality.AUDIO, Modality.TEXT}), 512, "Apache-2.0"),
)  # fmt: skip
"""From the lightest of a kind to the heaviest."""
