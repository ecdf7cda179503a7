"""The writer: a model of transformers with the prompts of its kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from search.encoders.device import DeviceRunner
from search.encoders.generation import GeneratedText, write
from search.readers.caption.building import FRAMES, Wording
from search.types import Needs, Picture

CAPTION_TOKENS, ANSWER_TOKENS = 48, 96
"""Tokens of a caption and of an answer, at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Pictures (H, W, 3) and a question about them; None: a caption is wanted."""

    pictures: tuple[Picture, ...]
    question: str | None = None


class Writer:
    """Writes captions and answers. Threads may share it; the model runs for one at a time."""

    def __init__(
        self,
        name: str,
        needs: Needs,
        runner: DeviceRunner,
        model: Any,  # noqa: ANN401  transformers has no types
        processor: Any,  # noqa: ANN401
        wording: Wording,
    ) -> None:
        """``name`` is the model's; ``needs`` is the form of pictures."""
        self.name, self.needs = name, needs
        self._runner, self._processor, self._wording = runner, processor, wording
        self._model = cast("Any", runner.place(model))

    @property
    def describes(self) -> bool:
        """Whether it writes captions."""
        return self._wording.caption is not None

    @property
    def answers(self) -> bool:
        """Whether it takes questions."""
        return self._wording.question is not None

    @property
    def several(self) -> bool:
        """Whether it can look at several pictures at once."""
        return self._wording.several

    @property
    def language(self) -> str:
        """The ISO 639-1 code of the language that it writes: English unless its configuration names another one."""
        said = getattr(self._model.config, "language", None)
        return said if isinstance(said, str) and len(said) == 2 else "en"

    def describe(self, pictures: Sequence[Picture]) -> list[GeneratedText]:
        """A caption of each picture (H, W, 3)."""
        return self._runner.each(self._describe, [Asked((picture,)) for picture in pictures], self.needs.batch)

    def answer(self, asked: Sequence[Asked]) -> list[GeneratedText]:
        """An answer to each question. A model that looks at one picture at a time gets one picture per question.

        Raises:
            ValueError: the model takes no questions.
        """
        if not self.answers:
            raise ValueError(f"{self.name} takes no questions")
        return self._runner.each(self._answer, asked, self.needs.batch)

    def _describe(self, asked: Sequence[Asked]) -> list[GeneratedText]:
        return write(self._model, self._processor.tokenizer, self._inputs(asked), CAPTION_TOKENS)

    def _answer(self, asked: Sequence[Asked]) -> list[GeneratedText]:
        return write(self._model, self._processor.tokenizer, self._inputs(asked), ANSWER_TOKENS)

    def _inputs(self, asked: Sequence[Asked]) -> dict[str, torch.Tensor]:
        """The model's inputs, on its device."""
        pictures, texts = [list(one.pictures) for one in asked], [self._words(one) for one in asked]
        told: dict[str, Any] = {"text": texts, "padding": True} if any(texts) and not self._wording.bare else {}
        shown = pictures if self._wording.chat else [one for some in pictures for one in some]
        with warnings.catch_warnings():  # of some processors, about numpy
            warnings.simplefilter("ignore", DeprecationWarning)
            made = self._processor(images=shown, **told, input_data_format="channels_last", return_tensors="pt")
        if self._wording.bare and any(texts):
            made["input_ids"] = self._begun(texts)
        tensors = {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}
        runner = self._runner
        return {
            name: value.to(runner.device, runner.dtype if value.is_floating_point() else None) for name, value in tensors.items()
        }

    def _begun(self, texts: Sequence[str]) -> torch.Tensor:
        """Questions (n, tokens), all the same, as the beginning of the text to write: without the token that ends a text."""
        tokenizer = self._processor.tokenizer
        return torch.tensor([[tokenizer.cls_token_id, *tokenizer(text, add_special_tokens=False).input_ids] for text in texts])

    def _words(self, asked: Asked) -> str:
        """The prompt for one caption or question."""
        wording = self._wording
        told = (
            (wording.caption or "")
            if asked.question is None
            else (wording.question or "{}").format(self._harmless(asked.question))
        )
        if not wording.chat:
            return told
        if len(asked.pictures) > 1:
            told = FRAMES + told
        content = [*({"type": "image"} for _ in asked.pictures), {"type": "text", "text": told}]
        return str(self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))

    def _harmless(self, question: str) -> str:
        """A question without sequences that have a special meaning for the model, such as the end of a turn or a picture."""
        for token in self._special():
            question = question.replace(token, " ")
        return " ".join(question.encode("utf-8", "replace").decode().split())

    def _special(self) -> list[str]:
        tokenizer = self._processor.tokenizer
        tokens = {*map(str, tokenizer.all_special_tokens), *map(str, tokenizer.get_added_vocab())}
        return sorted(tokens, key=len, reverse=True)
