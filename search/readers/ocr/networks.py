"""PP-OCR: where lines of text stand in a picture, and what each says. Only weights that are here are used: rapidocr would fetch others by itself."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import rapidocr
from numpy.typing import NDArray
from rapidocr.ch_ppocr_cls import TextClassifier
from rapidocr.ch_ppocr_det import TextDetector
from rapidocr.ch_ppocr_rec import TextRecInput, TextRecognizer
from rapidocr.inference_engine.base import FileInfo, InferSession
from rapidocr.main import DEFAULT_CFG_PATH
from rapidocr.utils.parse_parameters import ParseParams
from rapidocr.utils.process_img import get_rotate_crop_image

from search.errors import ModelMissing
from search.models import Model, files
from search.readers.ocr.layout import Line, Quad
from search.types import Picture

MIN_CONFIDENCE = 0.75
"""A line that the model is less sure of is not kept. Over 137 photographs what was wrong with it had all of two letters at most .67."""
STEP_PIXELS = 32
"""The detector wants sides that are multiples of this, in pixels."""
MARGIN_PIXELS = 24
"""Pixels that a picture gets on each side where it is hardly larger than a line of text: the detector wants to see some ground."""
_TALL = 1.5
"""What is this many times as high as wide is turned by rapidocr before it is read."""
_ALL = 10_000
"""Have the detector give all that it finds."""

logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it tells of each model that it loads


@dataclass(frozen=True, slots=True)
class OcrWeights:
    """The three networks as bytes of ONNX, and the recogniser's letters where these stand in a file of their own.

    ``title`` is what they are called, ``revision`` changes whenever one of them does.
    """

    detector: bytes
    classifier: bytes
    recogniser: bytes
    letters: Path | None
    title: str
    revision: str


class OcrNetworks:
    """Finds and reads lines. Threads may call it at the same time; each run of a network takes one thread, that of the caller."""

    def __init__(self, weights: OcrWeights) -> None:
        """Build the networks; raises ModelMissing where one is none, or names other letters than it has."""
        self.title, self.revision = f"rapidocr {weights.title}", weights.revision
        settings = ParseParams.load(DEFAULT_CFG_PATH)
        self._detector = TextDetector(_settings(settings.Det, weights.detector, max_candidates=_ALL))
        self._classifier = TextClassifier(_settings(settings.Cls, weights.classifier))
        self._recogniser = _recogniser(settings.Rec, weights)

    def find(self, picture: Picture) -> list[Quad]:
        """The quadrangles of lines in a picture (H, W, 3) RGB of any size, from top to bottom."""
        height, width = picture.shape[:2]
        margin = MARGIN_PIXELS if min(height, width) < 2 * STEP_PIXELS else 0
        bottom, right = (margin + -(side + 2 * margin) % STEP_PIXELS for side in (height, width))
        padded = cv2.copyMakeBorder(picture, margin, bottom, margin, right, cv2.BORDER_REPLICATE)
        # what rapidocr's own preparation would do, in one pass of float32 instead of several of float64: an eighth of the time of finding
        seen = self._detector.session(cv2.dnn.blobFromImage(padded, 1 / 127.5, mean=(127.5, 127.5, 127.5), swapRB=True))
        found = self._detector.sorted_boxes(self._detector.postprocess_op(seen, padded.shape[:2])[0])
        limits = np.array((width - 1, height - 1), np.float32)
        quads = (np.clip(np.asarray(quad, np.float32) - margin, 0, limits) for quad in found)
        return [quad for quad in quads if cv2.contourArea(quad) > 1]

    def read(self, picture: Picture, quad: Quad) -> Line:
        """Read the line in a quadrangle of a picture (H, W, 3) RGB. The line's own quadrangle begins where the text does.

        Empty text: no known characters. Only spaces: words in unknown letters.

        A line that is read with low confidence is also read upside down: the classifier, which sees only the first letters, is
        sometimes wrong.
        """
        strip = get_rotate_crop_image(np.ascontiguousarray(picture[:, :, ::-1]), quad.copy())
        quad = np.roll(quad, -1, axis=0) if _is_tall(quad) else quad
        turned, sure = (self._classifier([strip]).cls_res or [("0", 0.0)])[0]
        upside_down = turned == "180" and sure > self._classifier.cls_thresh
        line = self._line(strip, quad, upside_down)
        if line.confidence >= MIN_CONFIDENCE or line.text.isspace():
            return line
        return max(line, self._line(strip, quad, not upside_down), key=lambda line: line.confidence)

    def _line(self, strip: NDArray[np.uint8], quad: Quad, upside_down: bool) -> Line:
        """Read a horizontal strip (H, W, 3) BGR."""
        if upside_down:
            strip, quad = np.ascontiguousarray(strip[::-1, ::-1]), np.roll(quad, 2, axis=0)
        read: Any = self._recogniser(TextRecInput(img=[strip], return_word_box=True))
        text, scores = str(read.txts[0]), [float(score) for score in read.word_results[0].confs]
        if len(scores) != len(text):  # letters of more than one character
            scores = [float(read.scores[0])] * len(text)
        start, end = (len(text) - len(text.lstrip()), len(text.rstrip())) if text.strip() else (0, len(text))
        return Line(quad, text[start:end], tuple(scores[start:end]))


def shipped() -> OcrWeights:
    """The models that rapidocr ships, checked against the hashes that it knows."""
    settings = ParseParams.load(DEFAULT_CFG_PATH)
    detector, classifier, recogniser = (_shipped(part) for part in (settings.Det, settings.Cls, settings.Rec))
    return _weights(detector, classifier, recogniser, None)


def given(model: Model) -> OcrWeights:
    """A model's recogniser; and its detector, or else the one that rapidocr ships."""
    settings = ParseParams.load(DEFAULT_CFG_PATH)
    recogniser = next(iter(sorted(model.folder.rglob("*rec*.onnx"))), None)
    if recogniser is None:
        raise ModelMissing(
            f"{model.name} has no recogniser: a file *rec*.onnx in {model.folder}.", remedy="Take a model of PP-OCR in ONNX."
        )
    detector = next(iter(sorted(model.folder.rglob("*det*.onnx"))), None) or _shipped(settings.Det)
    letters = next(iter(sorted(model.folder.rglob("*.txt"))), None)
    return _weights(detector, _shipped(settings.Cls), recogniser, letters)


def _shipped(settings: Any) -> Path:  # noqa: ANN401 - omegaconf has no types
    told = FileInfo(settings.engine_type, settings.ocr_version, settings.task_type, settings.lang_type, settings.model_type)
    known = InferSession.get_model_url(told)
    path = Path(rapidocr.__file__).parent / "models" / Path(known["model_dir"]).name
    if hashlib.sha256(_bytes(path)).hexdigest() != known["SHA256"]:
        raise _broken(f"{path} is not the file that rapidocr names: its SHA-256 differs.")
    return path


def _weights(detector: Path, classifier: Path, recogniser: Path, letters: Path | None) -> OcrWeights:
    networks = {"detector": _bytes(detector), "classifier": _bytes(classifier), "recogniser": _bytes(recogniser)}
    known = {name: hashlib.sha256(content).hexdigest() for name, content in networks.items()}
    if letters:
        known["letters"] = hashlib.sha256(_bytes(letters)).hexdigest()
    known["rapidocr"] = importlib.metadata.version("rapidocr")
    return OcrWeights(**networks, letters=letters, title=recogniser.stem, revision=files.revision(known))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _broken(f"{path} cannot be read: {error}.") from error


class _Settings(dict[str, Any]):
    """rapidocr's settings of a network, which it asks for as attributes and as keys."""

    __getattr__ = dict.__getitem__


def _settings(part: Any, weights: bytes, **more: Any) -> _Settings:  # noqa: ANN401
    """The settings of an installed network. With a given session, rapidocr looks for no file and fetches none."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # callers bring a thread a core
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own types, none of which is exported
        raise _broken(f"A network of PP-OCR cannot be loaded: {error}") from error
    return _Settings({**part, **more, "session": session})


def _recogniser(part: Any, weights: OcrWeights) -> TextRecognizer:  # noqa: ANN401
    """The recogniser. Lines are read one by one, since a batch is no faster on one thread. They are padded to rapidocr's 320
    pixels, since short words of Chinese and Japanese lose characters with less."""
    settings = _settings(part, weights.recogniser, font_path=None, rec_batch_num=1, rec_keys_path=weights.letters)
    session = settings["session"]
    if "character" not in session.get_modelmeta().custom_metadata_map and weights.letters is None:
        raise _broken(f"{weights.title} does not say which letters it knows, and there is no .txt with them beside it.")
    recogniser = TextRecognizer(settings)
    try:
        known = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, 48, 320), np.float32)})[0].shape[-1]
    except Exception as error:
        raise _broken(f"{weights.title} is no recogniser of PP-OCR: {error}") from error
    if known != (named := len(recogniser.postprocess_op.character)):
        raise _broken(f"{weights.title} tells {known} characters apart, and {named} are named.")
    return recogniser


def _is_tall(quad: Quad) -> bool:
    """Whether rapidocr rotates the content of a quadrangle to the left."""
    width = int(max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[2] - quad[3])))
    height = int(max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2])))
    return height / max(width, 1) >= _TALL


def _broken(message: str) -> ModelMissing:
    return ModelMissing(message, remedy="Install rapidocr again, or take the model over again: sensorium models import")
