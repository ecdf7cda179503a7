"""A tokenizer of the hub with a vocabulary of letters and a few words."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast


def write_tokenizer(folder: Path, words: int, known: Sequence[str] = (), **more: object) -> None:
    """Save one of ``words`` tokens, ``known`` among them: ``<s> text </s>``, padded with ``<pad>`` (1) at the end."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    vocabulary += [*known]
    vocabulary += [f"word{number}" for number in range(words - len(vocabulary))]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.decoder = decoders.WordPiece()
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
    options = {"padding_side": "right", "model_max_length": 64} | special | more
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options).save_pretrained(folder)
