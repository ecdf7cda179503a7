"""Whisper through faster-whisper. Sounds run in batches, each decoded once by beam search alone, so that the same sound always
gives the same words."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from search.errors import ModelMissing
from search.readers.speech import FILES
from search.readers.speech.regions import SAMPLE_RATE
from search.settings import cores
from search.types import Sound

HOP_SAMPLES = 160
"""Samples between two columns of Whisper's spectrogram. Sounds that are whole columns long keep their times in a batch."""

WHOLE_SAMPLES = 30 * SAMPLE_RATE
"""Samples that Whisper takes in at once."""

ISO = {"jw": "jv"}
"""Whisper's codes that are not those of ISO 639-1."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word with the space before it, if any; when it is heard, in milliseconds from the beginning of the sound; and Whisper's
    confidence, 0..1."""

    text: str
    start_ms: float
    end_ms: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Said:
    """Whisper's result for a sound.

    - ``log_probability``: the mean over its tokens
    - ``no_speech``: the probability that nothing is said, 0..1
    - ``compression``: the factor by which zlib shortens it
    """

    words: tuple[Heard, ...]
    log_probability: float
    no_speech: float
    compression: float

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(word.text for word in self.words).strip()

    @property
    def sure(self) -> float:
        """The mean confidence in its words, 0..1; 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0


GPU_BATCH = 16
"""Sounds that a GPU hears at once."""

KEPT_OUTPUTS = 4
"""Encoder outputs that are kept for the alignment of words: per sound processed at once or, on a GPU, per batch."""

T = TypeVar("T")


class SpeechModel:
    """A Whisper model on a device, in int8 on the CPU and float16 on a GPU. Threads may use it at the same time.

    On a CPU each sound is processed by one thread, with as many sounds at a time as there are cores. Splitting the work on one
    sound took half as long again.
    """

    def __init__(self, folder: Path, device: str) -> None:
        """Load the model in ``folder``.

        Raises:
            ModelMissing: a file is missing or is not what it should be, or the device is not there.
        """
        kind, number = _placed(device)
        self.on_gpu = kind == "cuda"
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise ModelMissing(
                f"{folder} has no {missing[0]}.",
                remedy="Name a folder with a Whisper model as CTranslate2 has it: sensorium models pull speech:base",
            )
        self.together = GPU_BATCH if self.on_gpu else cores()
        """How many sounds are best heard at once."""
        try:
            self._model = _Whisper(
                str(folder), kind, device_index=number, compute_type="float16" if self.on_gpu else "int8", cpu_threads=1,
                num_workers=1 if self.on_gpu else self.together,
            )  # fmt: skip
        except Exception as error:  # tokenizers raises nothing more special
            raise ModelMissing(
                f"{folder} cannot be loaded: {error}.", remedy="Fetch the model again: sensorium models pull NAME"
            ) from error
        self.multilingual = bool(self._model.model.is_multilingual)
        if (bands := self._model.feature_extractor.mel_filters.shape[0]) != self._model.model.n_mels:
            raise ModelMissing(
                f"{folder} wants {self._model.model.n_mels} bands of sound, and {bands} are made.",
                remedy="Its preprocessor_config.json is missing or is that of another model: fetch it again.",
            )

    def languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        """For each sound, float32 (n,) of at most 30 s, the likeliest language and its probability, 0..1."""
        if not self.multilingual:
            return [("en", 1.0)] * len(sounds)
        return self._shared(self._languages, sounds)

    def _languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        encoded = self._model.encode(np.stack([self._model.feature_extractor(_whole(sound))[..., :-1] for sound in sounds]))
        found = (likely[0] for likely in self._model.model.detect_language(encoded))
        return [(token.strip("<|>"), float(share)) for token, share in found]

    def hear(self, sounds: Sequence[Sound], language: str, *, translate: bool = False, varied: bool = False) -> list[Said]:
        """Transcribe each sound, float32 (n,) of at most 30 s, in ``language``, or translate it from there into English.

        ``varied``: no three tokens may repeat, which ends loops.
        """
        return self._shared(lambda some: self._hear(some, language, translate, varied), sounds)

    def _shared(self, work: Callable[[Sequence[Sound]], list[T]], sounds: Sequence[Sound]) -> list[T]:
        """Run ``work`` on sounds: together on a GPU, each in its own thread on a CPU."""
        if self.on_gpu or len(sounds) < 2:
            return work(sounds)
        each: list[Future[list[T]]] = [Future() for _ in sounds]

        def hear(future: Future[list[T]], sound: Sound) -> None:
            try:
                future.set_result(work([sound]))
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
                future.set_exception(error)

        for pair in zip(each, sounds, strict=True):  # daemons: a hanging one must not keep the process alive
            threading.Thread(target=hear, args=pair, name="hear", daemon=True).start()
        return [found for future in each for found in future.result()]

    def _hear(self, sounds: Sequence[Sound], language: str, translate: bool, varied: bool) -> list[Said]:
        whole = [_whole(sound) for sound in sounds]
        ends = np.cumsum([len(sound) for sound in whole])
        clips = [
            {"start": (end - len(sound)) / SAMPLE_RATE, "end": end / SAMPLE_RATE}
            for sound, end in zip(whole, ends.tolist(), strict=True)
        ]
        found, _ = BatchedInferencePipeline(self._model).transcribe(
            np.concatenate(whole), language=language, task="translate" if translate else "transcribe", temperature=0.0,
            clip_timestamps=clips, batch_size=len(whole), word_timestamps=True, no_repeat_ngram_size=3 if varied else 0,
        )  # fmt: skip
        return [_said(segment, clip["start"]) for segment, clip in zip(found, clips, strict=True)]


class _Whisper(WhisperModel):  # type: ignore[misc] # it has no types
    """Encodes each sound once for its language, its words and a translation: encoding is most of the work."""

    def __init__(self, *given: Any, num_workers: int, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*given, num_workers=num_workers, **named)
        self._most = KEPT_OUTPUTS * num_workers
        self.feature_extractor = _Columns(**self.feat_kwargs)
        self._kept: OrderedDict[bytes, Any] = OrderedDict()
        self._keeping = threading.Lock()

    def encode(self, features: NDArray[np.float32]) -> Any:  # noqa: ANN401
        key = hashlib.sha256(np.ascontiguousarray(features).data).digest()
        with self._keeping:
            encoded = self._kept.get(key)
        if encoded is None:
            encoded = super().encode(features)
            with self._keeping:
                self._kept[key] = encoded
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return encoded


class _Columns(FeatureExtractor):  # type: ignore[misc] # it has no types
    """Fills sounds up to 30 s with silence, as in Whisper's training. faster-whisper fills up with zeros, which sound like a
    steady noise."""

    def __call__(self, waveform: Sound, padding: int = HOP_SAMPLES, chunk_length: int | None = None) -> NDArray[np.float32]:
        """The columns of a sound and of the silence after it, with the last one repeated: float32 (bands, columns + 1)."""
        columns: NDArray[np.float32] = super().__call__(waveform, padding + max(0, WHOLE_SAMPLES - len(waveform)), chunk_length)
        return columns


def _said(segment: Any, start: float) -> Said:  # noqa: ANN401
    """A result of faster-whisper as ``Said``. ``start`` is where the sound began in its batch, in seconds."""
    words = tuple(
        Heard(word.word, (word.start - start) * 1000, (word.end - start) * 1000, float(word.probability))
        for word in segment.words
    )
    return Said(words, segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio)


def _whole(sound: Sound) -> Sound:
    return np.pad(sound, (0, -len(sound) % HOP_SAMPLES))


def _placed(device: str) -> tuple[str, int]:
    """The kind of a device and its number; ``auto`` is a GPU if there is one.

    Raises:
        ModelMissing: there is no such device.
    """
    count = ctranslate2.get_cuda_device_count()
    if device == "auto":
        device = "cuda" if count else "cpu"
    known = {"cpu": ("cpu", 0), "cuda": ("cuda", 0)} | {f"cuda:{number}": ("cuda", number) for number in range(count)}
    if device not in known or (known[device][0] == "cuda" and not count):
        raise ModelMissing(
            f"The device {device!r} cannot be used by CTranslate2.",
            remedy=f"Set SENSORIUM_DEVICE to one of: {', '.join(['auto', 'cpu', *list(known)[2:]])}.",
        )
    return known[device]
