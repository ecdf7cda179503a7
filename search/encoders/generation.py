"""Text generation with a model of transformers: one token at a time, always the likeliest, and with its confidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

_KEPT = re.compile(
    r"\w*_token_ids?|\w*suppress_tokens|bad_words_ids|\w*lang_to_\w*|use_cache|no_repeat_ngram_size|repetition_penalty"
)
"""The generation settings of a model that are kept. Sampling, beams and lengths are not: the same content must give the same
words, of limited length."""

_RUN = re.compile(r"(.)\1{11,}")


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A text, and the model's confidence: the exponential of the mean log probability of its tokens, including the end; 0..1."""

    text: str
    confidence: float


class _Sureness(LogitsProcessor):
    """Records the log probability of the likeliest token at each step, (n,). Does not change the scores."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - as transformers calls it
        wide = scores.float()
        self.steps.append(wide.max(-1).values - wide.logsumexp(-1))
        return scores


def settle(model: Any) -> None:  # noqa: ANN401  transformers has no types
    """Remove all random generation settings from a model and its submodels."""
    for module in model.modules():
        if (config := getattr(module, "generation_config", None)) is not None:
            kept = {name: value for name, value in config.to_dict().items() if value is not None and _KEPT.fullmatch(name)}
            if "pad_token_id" not in kept and (end := kept.get("eos_token_id")) is not None:
                kept["pad_token_id"] = end[0] if isinstance(end, list) else end  # as transformers would, saying so each time
            module.generation_config = cast("Any", GenerationConfig)(**kept)


def ends_of(model: Any) -> frozenset[int]:  # noqa: ANN401
    """The tokens with which a model ends a text."""
    if model.config.model_type == "blip":  # which names another one itself
        return frozenset({int(model.config.text_config.sep_token_id)})
    ends = model.generation_config.eos_token_id
    return frozenset(map(int, [] if ends is None else ends if isinstance(ends, list) else [ends]))


def write(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    inputs: Mapping[str, torch.Tensor],
    most: int,
    **options: Any,  # noqa: ANN401
) -> list[GeneratedText]:
    """What ``model`` writes for each row of ``inputs``, at most ``most`` tokens; ``options`` are passed to its ``generate``."""
    sureness = _Sureness()
    heard = LogitsProcessorList([sureness])
    made = model.generate(
        **inputs, do_sample=False, num_beams=1, max_new_tokens=most, logits_processor=heard, **options
    )  # fmt: skip
    steps = torch.stack(sureness.steps, 1)
    tokens = made[:, made.shape[1] - steps.shape[1] :]
    ends = torch.tensor(sorted(ends_of(model)), dtype=torch.long, device=tokens.device)
    ended = torch.isin(tokens, ends).long()
    counted = (ended.cumsum(1) - ended) == 0  # up to the end, and with it
    sure = ((steps * counted).sum(1) / counted.sum(1)).exp()
    texts = [tokenizer.decode(row[known].tolist(), skip_special_tokens=True) for row, known in zip(tokens, counted, strict=True)]
    return [GeneratedText(" ".join(str(text).split()), float(one)) for text, one in zip(texts, cast("Any", sure), strict=True)]


def repeats(text: str) -> bool:
    """Whether a text is stuck in a loop: some words three times in a row."""
    words = re.findall(r"\w+", text.lower())
    for size in range(1, len(words) // 3 + 1):
        for at in range(len(words) - 3 * size + 1):
            part = words[at : at + size]
            if part == words[at + size : at + 2 * size] == words[at + 2 * size : at + 3 * size]:
                return True
    return _RUN.search(text) is not None
