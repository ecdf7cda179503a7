"""Tiny translators in folders as transformers lays them out on the hub: SeamlessM4T of both versions, and NLLB.

They are taught a few words of English, German and French, which takes a second.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    NllbTokenizer,
    SeamlessM4TConfig,
    SeamlessM4TForTextToText,
    SeamlessM4TTokenizer,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2ForTextToText,
)

from tests.fakes.made_once import made_once
from tests.fakes.teaching import seeded

GERMAN = {"red": "rot", "green": "grün", "blue": "blau", "water": "wasser", "dog": "hund"}
FRENCH = {"red": "rouge", "green": "vert", "blue": "bleu", "water": "eau", "dog": "chien"}
CODES = ("deu", "eng", "fra")
KINDS = ("seamless-v2", "seamless", "nllb")


@made_once
def write(folder: Path, kind: str = "seamless-v2", *, seed: int = 0, steps: int = 800) -> Path:
    """Write a model of a kind into ``folder``, which is made; returns it. ``steps``: how long it is taught, at most."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(kind)
    tokenizer.save_pretrained(folder)
    with seeded(seed):
        model = _model(kind, tokenizer)
        _teach(model, tokenizer, kind, steps)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    seen: set[int] = set()
    tensors = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    if kind != "nllb":
        tensors["speech_encoder.layer_norm.weight"] = torch.ones(4)  # a part that text does without, as published files have it
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def code(kind: str, language: str) -> str:
    """How a kind of model calls a language."""
    return f"{language}_Latn" if kind == "nllb" else language


def _tokenizer(kind: str) -> Any:
    words = [
        "▁",
        *(f"▁{word}" for word in (*GERMAN, *GERMAN.values(), *FRENCH.values())),
        *string.ascii_lowercase,
        "ü",
        ".",
        "!",
        "?",
    ]
    special = ["<s>", "<pad>", "</s>", "<unk>"] if kind == "nllb" else ["<pad>", "<unk>", "<s>", "</s>"]
    letters = [*dict.fromkeys("".join(words).replace("▁", ""))]
    vocabulary: dict[str, int] = {}
    merges: list[tuple[str, str]] = []
    for token in [*special, "▁", *letters]:
        vocabulary.setdefault(token, len(vocabulary))
    for word in words:
        made = word[:1]
        for letter in word[1:]:  # each word grows letter by letter
            if (made, letter) not in merges:
                merges.append((made, letter))
            made += letter
            vocabulary.setdefault(made, len(vocabulary))
    if kind == "nllb":
        more = [code(kind, one) for one in CODES]
        return NllbTokenizer(vocab=vocabulary, merges=merges, src_lang="eng_Latn", additional_special_tokens=more)
    marks = [f"__{one}__" for one in CODES]
    return SeamlessM4TTokenizer(vocab=vocabulary, merges=merges, src_lang="eng", tgt_lang="fra", additional_special_tokens=marks)


def _model(kind: str, tokenizer: Any) -> Any:
    common = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    common |= {"eos_token_id": tokenizer.eos_token_id, "decoder_start_token_id": tokenizer.eos_token_id}
    narrow = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    narrow |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 600}
    if kind == "nllb":
        return M2M100ForConditionalGeneration(
            M2M100Config(**common, **narrow, d_model=32, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
        )
    config = (SeamlessM4Tv2Config if kind == "seamless-v2" else SeamlessM4TConfig)(
        **common, **narrow, hidden_size=32, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, t2u_eos_token_id=3
    )
    model = (SeamlessM4Tv2ForTextToText if kind == "seamless-v2" else SeamlessM4TForTextToText)(config)
    ids = {one: tokenizer.convert_tokens_to_ids(f"__{one}__") for one in CODES}
    model.generation_config = GenerationConfig(
        **{name: value for name, value in common.items() if name != "vocab_size"},
        text_decoder_lang_to_code_id=ids, num_beams=5, do_sample=True, max_new_tokens=256,
    )  # fmt: skip
    return model


def _teach(model: Any, tokenizer: Any, kind: str, steps: int) -> None:
    """Have it translate words into German and French."""
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    tokenizer.src_lang = code(kind, "eng")
    pairs = [(word, language, table[word]) for word in GERMAN for language, table in (("deu", GERMAN), ("fra", FRENCH))]
    inputs = tokenizer([f"{word}." for word, _, _ in pairs], return_tensors="pt", padding=True)
    start, end = model.config.decoder_start_token_id, tokenizer.eos_token_id
    marks = [tokenizer.convert_tokens_to_ids(code(kind, one) if kind == "nllb" else f"__{one}__") for _, one, _ in pairs]
    words = [tokenizer(f"{word}.", add_special_tokens=False).input_ids for _, _, word in pairs]
    said = torch.tensor([[start, mark, *ids, end] for mark, ids in zip(marks, words, strict=True)])
    for _ in range(steps):
        logits = model(**inputs, decoder_input_ids=said[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits[:, 1:].flatten(0, 1), said[:, 2:].flatten())
        if loss < 0.02:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
