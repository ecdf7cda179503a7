"""Translators: models of transformers that translate text between languages, which they know by codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from search.encoders import pretrained
from search.encoders.device import DeviceRunner
from search.encoders.generation import GeneratedText, settle, write
from search.encoders.pretrained import CONFIG
from search.encoders.token_ids import speakable
from search.encoders.weights import TOKENIZER, broken
from search.models import Model
from search.ondemand import languages
from search.ondemand.translate import Translated, pieces

BATCH_SENTENCES = 8
"""Pieces at once, at most."""

MAX_TOKENS = 512
"""Tokens that a piece and its translation have, at most."""

_SEAMLESS = ("seamless_m4t", "seamless_m4t_v2")


def load(model: Model, device: str) -> Translator:
    """Load a translator from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, the device is not there, or the model knows no languages by codes.
    """
    runner = DeviceRunner(device)
    config = pretrained.configuration(model.folder)
    tokenizer = pretrained.part(
        AutoTokenizer, model.folder, ("tokenizer.json", *TOKENIZER), "the texts of this model cannot be read"
    )
    built = pretrained.build(AutoModelForSeq2SeqLM, model.folder, config)
    settle(built)
    pretrained.check_vocabulary(model.folder, len(tokenizer), built.get_input_embeddings().num_embeddings)
    kind = config.model_type
    listed = getattr(built.generation_config, "text_decoder_lang_to_code_id", None) if kind in _SEAMLESS else None
    known = languages.codes(listed or tokenizer.get_added_vocab())
    if len(known) < 2 or not hasattr(tokenizer, "src_lang") or (kind in _SEAMLESS and not listed):
        raise broken(f"{model.folder / CONFIG} and the tokenizer beside it know no two languages by codes.")
    return Translator(model.name, runner, built, tokenizer, known)


class Translator:
    """Translates text. Threads may share it; the model runs for one at a time."""

    def __init__(
        self,
        name: str,
        runner: DeviceRunner,
        model: Any,  # noqa: ANN401  transformers has no types
        tokenizer: Any,  # noqa: ANN401
        codes: dict[str, str],
    ) -> None:
        """``codes``: ISO 639-1 -> the model's own code."""
        self.name, self.languages = name, codes
        self._runner, self._tokenizer = runner, tokenizer
        self._seamless = model.config.model_type in _SEAMLESS
        self._model = cast("Any", runner.place(model))

    def translate(self, text: str, to: str, original: str = "en") -> Translated:
        """Translate a text of any length. Languages are given by ISO 639-1 code or by name. White space between sentences is
        kept.

        The confidence is the exponential of the mean log probability of the pieces' tokens, weighted by the pieces' lengths.

        Raises:
            UnknownName: the model does not know one of the languages; lists near ones.
        """
        target, begun = languages.resolve(to, self.languages), languages.resolve(original, self.languages)
        parts = pieces(speakable(text))
        said = [words for words, _ in parts if words]
        tasks = [(words, begun, target) for words in said]
        made = [] if begun == target else self._runner.each(self._write, tasks, BATCH_SENTENCES)
        written = iter([one.text for one in made] or said)
        whole = "".join((next(written) if words else "") + space for words, space in parts)
        sure = sum(len(words) * math.log(max(one.confidence, 1e-9)) for words, one in zip(said, made, strict=bool(made)))
        return Translated(whole, target, begun, self.name, math.exp(sure / max(1, sum(map(len, said)))))

    def _write(self, tasks: Sequence[tuple[str, str, str]]) -> list[GeneratedText]:
        """Translate pieces of one text, all in the same language."""
        _, begun, target = tasks[0]
        self._tokenizer.src_lang = self.languages[begun]
        told = [words for words, _, _ in tasks]
        given = self._tokenizer(told, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        inputs = {name: given[name].to(self._runner.device) for name in ("input_ids", "attention_mask")}
        code = self.languages[target]
        aim = (
            {"tgt_lang": code} if self._seamless else {"forced_bos_token_id": self._tokenizer.convert_tokens_to_ids(code)}
        )  # fmt: skip
        return write(self._model, self._tokenizer, inputs, min(MAX_TOKENS, 2 * inputs["input_ids"].shape[1] + 16), **aim)
