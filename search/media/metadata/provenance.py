"""Provenance: what a file states of its making. Content credentials (C2PA 2.4) through c2pa-python, the digital source type of IPTC in
XMP, and the prompts that generators write into pictures.

Nothing is guessed from how a picture looks: there is an origin only where the file states it, and the evidence is kept. What invalid
credentials say is no evidence. Credentials that lie at an address are never fetched, nor is the state of a certificate.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from search.media.decode import images
from search.media.metadata import picture_text, xmp
from search.media.source import Found, Limits, Source
from search.types import Claim, Credentials, Gap, Info, Modality, Origin, Provenance, ProvenanceReport

MAX_CLAIMS, MAX_DEPTH = 60, 20
"""Steps of a file's making that are told, and how many may lie behind each other."""
MAX_MANIFEST_BYTES = 32 << 20
"""What is read of credentials in a file of their own, in bytes."""
MAX_TEXTS, MAX_TEXT_CHARACTERS = 20, 100
"""Actions, sources or problems of a step that are told, and characters of each text."""

_SOURCE_TYPES: Mapping[str, Origin] = {
    "trainedAlgorithmicMedia": Origin.GENERATED, "algorithmicMedia": Origin.GENERATED,
    "compositeWithTrainedAlgorithmicMedia": Origin.EDITED, "compositeSynthetic": Origin.EDITED,
    "digitalCapture": Origin.CAPTURED, "computationalCapture": Origin.CAPTURED,
    "negativeFilm": Origin.CAPTURED, "positiveFilm": Origin.CAPTURED, "print": Origin.CAPTURED,
}  # fmt: skip
"""Codes of IPTC's digital source types (cv.iptc.org/newscodes/digitalsourcetype) that state an origin."""
_KEEPING = {"c2pa.created", "c2pa.opened", "c2pa.published", "c2pa.transcoded", "c2pa.repackaged"}
"""Actions that leave the content as it was."""
_RELATIONS = {"parentOf": "parent", "componentOf": "component", "inputTo": "input"}
_UNTRUSTED = "signingCredential.untrusted"
"""The only failure that leaves credentials valid."""

_FORMATS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), form)
    for pattern, form in (
        (rb"\xff\xd8\xff", "image/jpeg"), (rb"\x89PNG\r\n\x1a\n", "image/png"), (rb"GIF8", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"), (rb"RIFF....WAVE", "audio/wav"), (rb"RIFF....AVI ", "video/avi"),
        (rb"II\*\0|MM\0\*", "image/tiff"), (rb"....ftyp(?:heic|heix|hevc|mif1|msf1)", "image/heic"),
        (rb"....ftypavi[fs]", "image/avif"), (rb"....ftypM4A ", "audio/mp4"), (rb"....ftypqt  ", "video/quicktime"),
        (rb"....ftyp", "video/mp4"), (rb"\0\0\0\x0cJXL ", "image/jxl"), (rb"fLaC", "audio/flac"),
        (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "audio/mpeg"),
    )
)  # fmt: skip
"""First bytes of formats whose credentials are read. Those in PDF are not, since c2pa 0.91 reads it in threads, which a decoder may
not have; nor those in Matroska, WebM and Ogg, which it does not know."""
_STORE = b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
"""What the type of a box with credentials is, in whatever file it lies (C2PA 2.2, 11.1.4.2)."""
_ATTACHED = {b"%PDF-": b"/C2PA_Manifest", b"\x1aE\xdf\xa3": b"application/c2pa"}
"""First bytes of PDF and Matroska -> what names such an attachment, which may be compressed."""

_SETTINGS = re.compile(r"\bSteps: \d+, .*\bSampler: ", re.DOTALL)
_PROMPTS = (b"parameters", b"prompt", b"invokeai_metadata", b"sd-metadata", b"Dream")
"""Keywords of the texts in PNG under which generators write their prompts."""

_SIGNED = re.compile(rb"c2pa|provenance")
"""What stands in the first or last bytes of a file with credentials, or with their address."""
_MARKS = re.compile(rb"DigitalSourceType|Steps: |S\0?t\0e\0p\0s\0:|" + b"|".join(name + rb"\0" for name in _PROMPTS))
"""What stands in the first bytes of a picture that states an origin besides its credentials."""
_END_BYTES = 256 << 10
"""What is looked through of each end of a file, in bytes."""

_reading: Any = None
"""What c2pa-python reads with; None: it is not installed, or ``learn`` was not called."""


def learn(anchors: str = "") -> None:
    """Enable content credentials, if the extra ``provenance`` is installed. ``anchors`` is a file of certificates in PEM, which one
    trusts; empty: none. Must be called while files can still be opened."""
    global _reading
    try:
        import c2pa
    except ImportError:
        return
    verify = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    trust = {"user_anchors": Path(anchors).read_text()} if anchors else {}
    _reading = c2pa.Context.from_dict({"verify": verify, "trust": trust})


def told(found: Iterator[Found], source: Source, limits: Limits) -> Iterator[Found]:
    """What a decoder finds, with the provenance in its first ``Info``."""
    for number, one in enumerate(found):
        if number == 0 and isinstance(one, Info):
            at = source.file.tell()
            report = find(source, one.modality, limits, looks=True)
            why = _unread(source)
            source.file.seek(at)
            yield replace(one, provenance=report.provenance) if report.evidence else one
            if why:
                yield Gap("credentials", why)
        else:
            yield one


def find(
    source: Source, modality: Modality, limits: Limits, manifest: bytes | None = None, *, looks: bool = False
) -> ProvenanceReport:
    """All that a file states of its making. ``manifest`` are credentials from a file beside it, for one that carries none.

    ``looks``: credentials are read only if a look at both ends of the file finds a sign of them. Never raises: metadata are often
    broken, and must not cost the file.
    """
    nothing = ProvenanceReport(Provenance(None, None, ""))
    report = nothing if looks and not _may_be_signed(source) else _signed(source, None)
    if manifest and report.provenance.credentials in (None, Credentials.REMOTE):
        report = _signed(source, manifest)
    stated = list[tuple[Origin, str]]()
    if modality is Modality.IMAGE:
        with contextlib.suppress(Exception):
            stated = list(_stated(source, limits))
    evidence = (*report.evidence, *dict.fromkeys(sentence for _, sentence in stated))
    of = report.provenance
    if of.credentials is None and (why := _unread(source)):
        evidence = (f"It has {why}.", *evidence)
        of = replace(of, evidence=evidence[0])
    if of.origin is None and stated and of.credentials is not Credentials.INVALID:
        of = Provenance(stated[0][0], of.credentials, stated[0][1])
    return replace(report, provenance=of, evidence=evidence)


def form_of(head: bytes) -> str | None:
    """The media type of a file that can carry credentials, by its first bytes; None: it cannot."""
    return next((form for pattern, form in _FORMATS if pattern.match(head)), None)


def _may_be_signed(source: Source) -> bool:
    """Whether an end of a file has a sign of credentials."""
    return any(_SIGNED.search(end) for end in _ends(source))


def _unread(source: Source) -> str | None:
    """Why credentials that a file has are not read; None: they are, or it has none at either end."""
    form = form_of(source.head)
    marks = [_STORE, *(mark for begins, mark in _ATTACHED.items() if source.head.startswith(begins))]
    if (form and _reading) or not any(mark in end for end in _ends(source) for mark in marks):
        return None
    return f"content credentials that are not read {'without the extra provenance' if form else 'in this format'}"


def _ends(source: Source) -> Iterator[bytes]:
    """The first and the last bytes of a file."""
    for at in {0, max(0, source.size - _END_BYTES)}:
        source.file.seek(at)
        yield source.file.read(_END_BYTES)


def _signed(source: Source, manifest: bytes | None) -> ProvenanceReport:
    """What content credentials state; nothing where there are none."""
    nothing = ProvenanceReport(Provenance(None, None, ""))
    form = form_of(source.head)
    if _reading is None or form is None:
        return nothing
    import c2pa

    try:
        source.file.seek(0)
        with _View(source.file) as view:
            made = (
                c2pa.Reader(form, view, manifest, context=_reading)
                if manifest
                else c2pa.Reader.try_create(form, view, context=_reading)
            )
            if made is None:
                return nothing
            with made as reader:
                state, told_by = str(reader.get_validation_state()), json.loads(reader.json())
    except c2pa.C2paError as error:
        if link := re.search(r"https?://[^\s']+", str(error)) if "emote" in str(error) else None:
            sentence = "Its content credentials lie at an address, which is not fetched."
            return ProvenanceReport(
                Provenance(None, Credentials.REMOTE, sentence), (sentence,), link=link[0][:MAX_TEXT_CHARACTERS]
            )
        return _invalid(None, f"its content credentials cannot be read ({type(error).__name__.removeprefix('_C2pa')})")
    except (ValueError, RecursionError):
        return _invalid(None, "its content credentials are no JSON")
    claim = _Tree(told_by).claim()
    problems = [problem for problem in claim.problems if problem != _UNTRUSTED] if claim else []
    if claim is None or state == "Invalid" or problems:
        return _invalid(claim, f"its content credentials do not match ({', '.join(problems[:3]) or 'no reason given'})")
    credentials = Credentials.TRUSTED if state == "Trusted" else Credentials.VALID
    origin, why = _origin(claim)
    by = claim.signer or "an unnamed signer"
    return ProvenanceReport(Provenance(origin, credentials, sentence := f"Signed by {by}: {why}."), (sentence,), claim)


def _invalid(claim: Claim | None, why: str) -> ProvenanceReport:
    sentence = f"It is signed, but {why}."
    return ProvenanceReport(Provenance(None, Credentials.INVALID, sentence), (sentence,), claim)


def _origin(claim: Claim) -> tuple[Origin | None, str]:
    """What a claim and those behind it state, and why. What a parent was made by stays true of what was made of it; a component that
    was generated makes an edited whole."""
    parents = [one for one in claim.made_from if one.relation == "parent"]
    others = [one for one in claim.made_from if one.relation != "parent"]
    own = {_SOURCE_TYPES[code]: code for code in claim.sources if code in _SOURCE_TYPES}
    behind = [(one, *_origin(one)) for one in parents if not _broken(one)]
    for origin in (Origin.GENERATED, Origin.EDITED):
        if origin in own:
            return origin, f"its digital source type is {own[origin]}"
        for one, was, why in behind:
            if was is origin:
                return origin, f"made of “{one.title}”, of which it is stated that {why}"
    for one in others:
        if not _broken(one) and (was := _origin(one)[0]) in (Origin.GENERATED, Origin.EDITED):
            return Origin.EDITED, f"it contains “{one.title}”, which is {was.value}"
    if any(_broken(one) for one in claim.made_from):
        return None, "what it was made of does not match its own credentials"
    if not set(claim.actions) <= _KEEPING:
        return (
            None,
            f"edited ({', '.join(sorted({one.removeprefix('c2pa.') for one in claim.actions} - {'created', 'opened'})[:3])})",
        )
    if Origin.CAPTURED in own:
        return Origin.CAPTURED, f"its digital source type is {own[Origin.CAPTURED]}"
    for one, was, why in behind:
        if was is Origin.CAPTURED:
            return was, f"an unedited copy of “{one.title}”, of which it is stated that {why}"
    return None, "it does not state how it was made"


def _broken(claim: Claim) -> bool:
    return any(problem != _UNTRUSTED for problem in claim.problems)


class _Tree:
    """The claims in a reader's JSON. They may be in a loop: each is told once on a way."""

    def __init__(self, told_by: Mapping[str, Any]) -> None:
        self._manifests = told_by.get("manifests") or {}
        self._active = told_by.get("active_manifest")
        self._failures = _codes((told_by.get("validation_results") or {}).get("activeManifest"))
        for delta in (told_by.get("validation_results") or {}).get("ingredientDeltas") or []:
            self._failures += _codes(delta.get("validationDeltas"))
        self._left = MAX_CLAIMS

    def claim(self) -> Claim | None:
        """The claim of the file itself."""
        return self._claim(self._active, "", self._failures, ()) if self._active in self._manifests else None

    def _claim(self, label: Any, relation: str, problems: list[str], way: tuple[Any, ...], title: str = "") -> Claim:  # noqa: ANN401 - JSON
        self._left -= 1
        manifest = self._manifests.get(label) or {}
        signature = manifest.get("signature_info") or {}
        software = (manifest.get("claim_generator_info") or [{}])[0]
        actions = [
            action
            for assertion in manifest.get("assertions") or []
            if str(assertion.get("label", "")).startswith("c2pa.actions")
            for action in (assertion.get("data") or {}).get("actions") or []
        ]
        made_from = []
        for part in manifest.get("ingredients") or []:
            behind = part.get("active_manifest")
            if self._left > 0 and len(way) < MAX_DEPTH and (behind is None or behind not in (*way, label)):
                failed = _codes((part.get("validation_results") or {}).get("activeManifest"))
                made_from.append(
                    self._claim(
                        behind,
                        _RELATIONS.get(str(part.get("relationship")), "input"),
                        failed,
                        (*way, label),
                        _text(part.get("title")),
                    )
                )
        return Claim(
            title or _text(manifest.get("title")), _text(signature.get("issuer") or signature.get("common_name")),
            _text(f"{software.get('name', '')} {software.get('version', '')}"), _text(signature.get("time")) or None,
            _texts(action.get("action") for action in actions),
            _texts(str(action.get("digitalSourceType") or "").rstrip("/").rpartition("/")[2] for action in actions),
            relation, _texts(problems), tuple(made_from),
        )  # fmt: skip


def _codes(results: Any) -> list[str]:  # noqa: ANN401 - JSON
    return [str(one.get("code", "")) for one in (results or {}).get("failure") or []]


def _texts(values: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    return tuple(dict.fromkeys(filter(None, (_text(value) for value in values))))[:MAX_TEXTS]


def _text(value: object) -> str:
    return " ".join(str(value).split())[:MAX_TEXT_CHARACTERS] if value is not None else ""


def _stated(source: Source, limits: Limits) -> Iterator[tuple[Origin, str]]:
    """The origins that XMP and generators write into a picture, with the evidence."""
    source.file.seek(0)
    if not _MARKS.search(source.file.read(_END_BYTES)):
        return
    source.file.seek(0)
    with images.opened(source, limits) as image:
        for raw in picture_text.packets(image, source):
            for code in xmp.source_types(raw):
                if origin := _SOURCE_TYPES.get(code):
                    yield origin, f"XMP states the digital source type {code}, unsigned."
        if image.format == "PNG":
            for key, raw in picture_text.texts(source.file, _PROMPTS):
                if _is_prompt(raw.decode("utf-8", "replace")):
                    yield Origin.GENERATED, f"Its PNG text “{key.decode()}” is a generator's prompt, unsigned."
        elif _SETTINGS.search(picture_text.comment(image, source)):
            yield Origin.GENERATED, "Its EXIF comment is a generator's prompt, unsigned."


def _is_prompt(text: str) -> bool:
    """Whether a text is what generators write: the settings of a sampler, or a graph of nodes."""
    if _SETTINGS.search(text):
        return True
    with contextlib.suppress(ValueError, RecursionError):
        graph = json.loads(text)
        nodes = graph.values() if isinstance(graph, dict) else ()
        return any(isinstance(node, dict) and "class_type" in node for node in nodes) or (
            isinstance(graph, dict) and {"positive_prompt", "seed"} <= graph.keys()
        )
    return False


class _View(io.RawIOBase):
    """A file for c2pa-python that its reader may close: the file itself stays open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any buffer
        part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
