"""Pictures imagined from words by a diffusion model, to search with: a person picks among them, and they are fused with the words.

``imagine:REPOSITORY`` is a repository of the hub, ``imagine:FOLDER`` a folder with the same layout: a pipeline of diffusers that makes
pictures of texts. Imagined pictures are shown as such, and nothing keeps them beyond the search that they are made for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.encoders import lacking, offline
from search.encoders.known_models import KnownModel
from search.errors import InputError, UnknownName
from search.models import Models, ModelSource, is_repository, named
from search.types import Modality

if TYPE_CHECKING:  # torch takes seconds to import
    from PIL.Image import Image

    from search.ondemand.diffusion import Imaginer

FAMILY = "imagine"

KNOWN = ("stabilityai/sd-turbo", "stabilityai/sdxl-turbo", "stable-diffusion-v1-5/stable-diffusion-v1-5")
"""Repositories of pipelines that are known to fit; each has a licence of its own."""

FEWEST, MOST = 1, 5
"""Pictures that are imagined for one question."""
MAX_STEPS, MAX_SIDE, MIN_SIDE = 50, 1024, 32
"""Steps of a picture, and its side in pixels, at most: on a processor, a step of 512 pixels takes seconds, and memory grows with the
fourth power of the side."""
MAX_CHARACTERS = 1_000
"""Characters of a prompt. Most models read the first 77 tokens."""

NONE = "No model is set that imagines pictures."
HOW = "Set SENSORIUM_IMAGINER to one, such as imagine:stabilityai/sd-turbo, and fetch it with: sensorium models pull NAME"

Report = Callable[[int, float], None]
"""Callback for progress: the number of the picture, from 0, and the share of it that is done, 0..1. To stop, it raises."""


class ImaginingStopped(Exception):
    """Somebody no longer wants the pictures. What was begun is thrown away."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be imagined: a text, a seed for each picture, ``steps`` of each and its ``side`` in pixels; None: as the model likes."""

    text: str
    seeds: tuple[int, ...]
    steps: int | None = None
    side: int | None = None

    @classmethod
    def of(
        cls, text: str, count: int = 4, seeds: Sequence[int] = (), steps: int | None = None, side: int | None = None
    ) -> Wish:  # fmt: skip
        """A wish within the bounds. Without ``seeds``, ``count`` are drawn.

        Raises:
            InputError: it is beyond them.
        """
        if not text.strip() or len(text) > MAX_CHARACTERS:
            raise InputError(
                f"A text of {len(text):,} characters cannot be imagined.",
                remedy=f"Take between 1 and {MAX_CHARACTERS:,} characters.",
            )
        drawn = tuple(seeds) or tuple(secrets.randbelow(2**31) for _ in range(max(0, min(count, MOST + 1))))
        bounds = (
            ("pictures", len(drawn), FEWEST, MOST), ("steps", steps, 1, MAX_STEPS), ("pixels of the side", side, MIN_SIDE, MAX_SIDE),
            *(("as a seed", seed, 0, 2**63 - 1) for seed in drawn),
        )  # fmt: skip
        for what, value, least, most in bounds:
            if value is not None and not least <= value <= most:
                raise InputError(f"{value} {what} is out of bounds.", remedy=f"Take between {least} and {most:,}.")
        if side is not None and side % 8:
            raise InputError(f"A side of {side} pixels cannot be made.", remedy="Take a multiple of 8.")
        return cls(" ".join(text.split()), drawn, steps, side)


@dataclass(frozen=True, slots=True)
class Imagined:
    """A picture, the seed that it was made from, and whether the model's safety checker held it back, which makes it black."""

    seed: int
    picture: Image
    held_back: bool = False


def known() -> list[KnownModel]:
    """The known pipelines, for the list of models."""
    return [KnownModel(f"{FAMILY}:{rest}", frozenset({Modality.TEXT}), None) for rest in KNOWN]


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("model that imagines", rest, KNOWN)
    weights = ("diffusion_pytorch_model", "model")
    return ModelSource(
        rest,
        (
            "model_index.json", "*/*.json", "*/merges.txt", "*/*.model",
            *(f"*/{name}{end}" for name in weights for end in (".safetensors", "-*-of-*.safetensors")),
        ),
    )  # fmt: skip


def load(imaginer: str, models: Models, device: str = "auto") -> Imaginer:
    """Load the model that a setting or an option names: ``imagine:REPOSITORY``, or a folder.

    Raises:
        InputError: none is named.
        UnknownName: the name is of another family.
        ModelMissing: its files are not here, are not what they should be, or would run code; or a package that it needs is not installed.
    """
    if not imaginer:
        raise InputError(NONE, remedy=HOW)
    name = named(imaginer, FAMILY)
    if (of := name.partition(":")[0]) != FAMILY:
        raise UnknownName("family of models that imagine", of, [FAMILY])
    try:
        import diffusers  # noqa: F401 - whether it is installed comes before whether a model is here

        model = models.find(name)
        from search.ondemand.diffusion import load as build

        with offline():
            return build(model, device)
    except ModuleNotFoundError as error:
        raise lacking("imagine", error) from error
