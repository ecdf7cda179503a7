"""Models that find things by words, built from the files of a folder, which are not trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from search.encoders import pretrained
from search.encoders.device import DeviceRunner
from search.encoders.pretrained import CONFIG
from search.encoders.weights import broken
from search.readers.detect import EXTRACTOR, PROCESSOR
from search.readers.detect.detector import DETECTORS, Detector


def detector_of(folder: Path, device: str, labels: Sequence[str]) -> Detector:
    """The detector in a folder, looking for ``labels``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
        InputError: a label is longer than the model can read.
    """
    config = pretrained.configuration(folder)
    if config.model_type not in DETECTORS:
        raise broken(
            f"{folder / CONFIG} describes a model of the kind {config.model_type!r}, which does not find things by words."
        )
    processor = pretrained.part(AutoProcessor, folder, (PROCESSOR, EXTRACTOR), "the pictures of this model cannot be prepared")
    if not all(hasattr(processor, name) for name in ("image_processor", "tokenizer", "post_process_grounded_object_detection")):
        raise broken(f"{folder / EXTRACTOR} and the files beside it make no processor of pictures and words.")
    model = pretrained.build(AutoModelForZeroShotObjectDetection, folder, config)
    return DETECTORS[config.model_type](DeviceRunner(device), model, processor, labels)
