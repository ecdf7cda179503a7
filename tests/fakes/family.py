"""A family of encoders as a module: its models come from the hub, and are the fake encoder under the revision of their files."""

from __future__ import annotations

from dataclasses import replace

from search.encoders import Encoder
from search.errors import UnknownName
from search.models import Model, ModelSource
from tests.fakes.encoder import FakeEncoder

KNOWN = {
    "small": ModelSource("maker/small", ("*.safetensors", "*.json")),
    "noncommercial": ModelSource(
        "maker/small", ("*.safetensors", "*.json"), licence="CC-BY-NC-4.0", notice="For research alone (CC-BY-NC-4.0)."
    ),
}


def source(rest: str) -> ModelSource:
    if rest not in KNOWN:
        raise UnknownName("model", rest, KNOWN)
    return KNOWN[rest]


def load(model: Model, device: str) -> Encoder:
    encoder = FakeEncoder()
    encoder.space = replace(encoder.space, name=model.name, revision=model.revision)
    return encoder
