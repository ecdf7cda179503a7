"""Diffusion pipelines of diffusers, built from the files of a folder, which are not trusted and may not contain code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from diffusers.utils import logging

from search.encoders import weights
from search.encoders.weights import broken
from search.errors import InputError
from search.models import Model
from search.ondemand.imagine import MAX_SIDE, Imagined, Report, Wish

INDEX = "model_index.json"
_LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})
"""Where a component's class may come from. Any other name is a file of the folder, whose code would run."""
_STEPS, _TURBO_STEPS = 20, 2
"""Steps of a picture where none are asked for; a distilled model takes no guidance and few steps."""
_CPU_SIDE = 512


def load(model: Model, device: str) -> Imaginer:
    """The pipeline in a folder.

    Raises:
        ModelMissing: a file is missing, damaged or a pickle, the pipeline is none that makes pictures of texts, or it would run code.
    """
    folder = model.folder
    index = weights.read_json(folder / INDEX)
    kinds = {one.__name__ for one in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    if str(index.get("_class_name")) not in kinds:
        raise broken(
            f"{folder / INDEX} names the pipeline {str(index.get('_class_name'))[:80]!r}, which is none of diffusers' that make pictures of texts."
        )
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list):
            continue
        library = entry[0] if entry else None
        if library is not None and str(library) not in _LIBRARIES:
            raise broken(
                f"{folder / INDEX} takes {name} from {str(library)[:80]!r}: that would run code that comes with the model."
            )
    if code := next(
        iter(sorted(folder.rglob("*.py"))), None
    ):  # diffusers takes a component from a file that is called like its library
        raise broken(f"{code} is code, which a model here may not bring along.")
    for file in sorted(folder.rglob("*.safetensors")):
        weights.shapes(file)
    unchecked = {} if index.get("safety_checker", [None])[0] else {"safety_checker": None, "requires_safety_checker": False}
    unchecked = unchecked if "safety_checker" in index else {}
    loader: Any = AutoPipelineForText2Image
    try:
        with _quiet():
            pipeline = loader.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, **unchecked
            )
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise broken(f"{folder} cannot be used: {first}") from error
    return Imaginer(model.name, pipeline, device)


class Imaginer:
    """Makes pictures of texts. One thread at a time may use it."""

    def __init__(self, name: str, pipeline: Any, device: str) -> None:  # noqa: ANN401 - diffusers has no types
        """``checked``: the model's own safety checker looks at each picture."""
        self.name = name
        self._pipeline = pipeline.to("cuda" if device in ("auto", "cuda") and torch.cuda.is_available() else "cpu")
        self._pipeline.set_progress_bar_config(disable=True)
        self.checked = getattr(pipeline, "safety_checker", None) is not None
        for component in pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                component.eval()  # a pipeline that was built and not loaded is still in training
        if self._pipeline.device.type == "cpu":
            with contextlib.suppress(AttributeError):  # not every kind has it
                self._pipeline.enable_attention_slicing()

    def imagine(self, wish: Wish, report: Report = lambda *_: None) -> Iterator[Imagined]:
        """The pictures, one after the other, each with a generator of its own: so each depends on the words and on its seed alone.

        ``report`` may raise ``ImaginingStopped``: the picture that was begun is thrown away.

        Raises:
            InputError: the memory does not suffice.
        """
        turbo = "turbo" in self.name
        steps = wish.steps or (_TURBO_STEPS if turbo else _STEPS)
        options: dict[str, Any] = {"guidance_scale": 0.0} if turbo else {}
        side = wish.side or self._side()
        for number, seed in enumerate(wish.seeds):
            report(number, 0.0)

            def stepped(pipeline: Any, step: int, _: Any, kept: dict[str, Any], number: int = number) -> dict[str, Any]:  # noqa: ANN401
                report(number, (step + 1) / max(int(pipeline.num_timesteps), 1))
                return kept

            try:
                with torch.inference_mode(), _quiet():
                    made = self._pipeline(
                        wish.text, height=side, width=side, num_inference_steps=steps, generator=torch.Generator().manual_seed(seed),
                        callback_on_step_end=stepped, **options,
                    )  # fmt: skip
            except (MemoryError, RuntimeError) as error:
                if not isinstance(error, MemoryError) and "memory" not in str(error):
                    raise
                raise InputError(
                    f"There is not enough memory for a picture of {side} by {side} pixels.", remedy="Take a smaller side."
                ) from error
            held = bool((getattr(made, "nsfw_content_detected", None) or [False])[0])
            yield Imagined(seed, made.images[0].convert("RGB"), held)

    def _side(self) -> int:
        """The side that the model was trained for, in pixels; on a processor at most 512."""
        network = getattr(self._pipeline, "unet", None) or getattr(self._pipeline, "transformer", None)
        size = getattr(getattr(network, "config", None), "sample_size", None)
        side = int(size) * int(getattr(self._pipeline, "vae_scale_factor", 8)) if isinstance(size, int) else _CPU_SIDE
        return min(side, _CPU_SIDE if self._pipeline.device.type == "cpu" else MAX_SIDE)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Stop diffusers and transformers from writing and drawing over ours."""
    from transformers.utils import logging as of_transformers

    said: list[Any] = [logging, of_transformers]
    before = [one.get_verbosity() for one in said]
    for one in said:
        one.set_verbosity_error()
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one, level in zip(said, before, strict=True):
            one.set_verbosity(level)
