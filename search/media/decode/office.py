"""Word processor documents: the text of DOCX and ODT files, which are XML in ZIP archives.

Sources: ECMA-376 (WordprocessingML, strict and transitional), OASIS OpenDocument 1.3. Read with zipfile and expat. Every
declaration of a document type or entity is rejected, so no text grows while it is read, and no more than ``MAX_PART_BYTES`` of a
part is unpacked.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from search.errors import MediaError
from search.media.decode.paragraphs import paragraphs, unhyphenated
from search.media.metadata import dates
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, DateSource, Gap, Info, Modality, Needs, Span

MAX_PART_BYTES = 50_000_000
"""The maximum unpacked size of a part of a document that is read, in bytes."""

_PARTS = {
    "docx": ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml"),
    "odt": ("content.xml",),
}
"""Format -> the parts with text, the main one first."""
_PROPERTIES = {"docx": "docProps/core.xml", "odt": "meta.xml"}
_PICTURES = {"docx": "word/media/", "odt": "Pictures/"}
_PARAGRAPHS = frozenset({"p", "h"})
_BREAKS = {"br": "\n", "cr": "\n", "line-break": "\n", "tab": "\t", "s": " ", "noBreakHyphen": "-"}
"""Elements that stand for white space or a sign -> the sign."""
_UNSEEN = frozenset({"Fallback", "instrText", "delText", "tracked-changes", "annotation", "deletion"})
"""Elements whose text is not on the page: the second version of a text box, fields, deleted text, comments."""
_RUN_TEXT = "t"
"""The element with the text of a run in DOCX. In ODT, all text in a paragraph counts, and white space is folded (1.3, 6.1.2)."""
_SPACE = re.compile(r"[ \t\r\n]+")
_TITLES, _DATES = ("title",), ("created", "creation-date")
_MAX_SPACES = 1_000
_ENCRYPTED = 1
"""The bit of a ZIP entry that says that it is encrypted."""


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:  # noqa: ARG001  one signature for all decoders
    """Cut a document's text into paragraphs; spans are in characters of the text. Pictures in it are a gap.

    Raises:
        MediaError: ``undecodable``; ``unsupported``, it is encrypted or no text document; ``too_large``; ``no_content``.
    """
    try:
        archive = zipfile.ZipFile(source.file)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise MediaError("truncated", f"the document is damaged or cut short; its reader says: {error}") from error
    names = set(archive.namelist())
    form = next((form for form, parts in _PARTS.items() if parts[0] in names), None)
    if form is None:
        raise MediaError("unsupported", "a ZIP archive without the text of a document")
    told = _Text({*_TITLES, *_DATES})
    if _PROPERTIES[form] in names:
        told.parse(_unpacked(archive, _PROPERTIES[form]), is_optional=True)
    title = next((value for name, value in told.values if name in _TITLES), None)
    stamps = dates.stamps(DateSource.TAGS, *(value for name, value in told.values if name in _DATES))
    yield Info(Modality.TEXT, form, title=title, stamps=dates.distinct(stamps))
    body = _Text(is_in_runs=form == "docx")
    for part in _PARTS[form]:
        if part in names:
            body.parse(_unpacked(archive, part))
    text, found = unhyphenated("".join(body.said)), False
    for start, end in paragraphs(text, needs.characters):
        found = True
        yield Cut(Channel.TEXT, Modality.TEXT, Span(start, end, "char"), text[start:end])
    pictures = sum(name.startswith(_PICTURES[form]) and not name.endswith("/") for name in names)
    if not found:
        raise MediaError("no_content", "the document has no words" + (", only pictures" if pictures else ""))
    if pictures:
        yield Gap("not_sampled", f"the pictures in the document are not searched ({pictures})")


def _unpacked(archive: zipfile.ZipFile, part: str) -> bytes:
    """A part of a document, at most ``MAX_PART_BYTES``."""
    entry = archive.getinfo(part)
    if entry.flag_bits & _ENCRYPTED:
        raise MediaError("unsupported", "the document is encrypted")
    try:
        with archive.open(entry) as file:
            raw = file.read(MAX_PART_BYTES + 1)
    except NotImplementedError as error:
        raise MediaError("unsupported", f"the document is packed in a way that is not read: {error}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, OSError, zlib.error) as error:
        raise MediaError("truncated", f"the document is damaged; its reader says: {error}") from error
    if len(raw) > MAX_PART_BYTES:
        raise MediaError("too_large", f"{part} of the document has more than {MAX_PART_BYTES} bytes")
    return raw


class _Declared(Exception):
    """It declares a document type or entities."""


@dataclass(slots=True)
class _Text:
    """Follows the elements of a part. Keeps the text of paragraphs, or the values of the elements ``named``."""

    named: set[str] = field(default_factory=set)
    is_in_runs: bool = False
    said: list[str] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _unseen: int = 0
    _is_hidden: bool = False
    """Whether the run has the property that hides it (w:vanish)."""
    _value: list[str] = field(default_factory=list)

    def parse(self, raw: bytes, *, is_optional: bool = False) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._say
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
        self._open.clear()
        try:
            parser.Parse(raw, True)
        except _Declared as error:
            if not is_optional:
                raise MediaError("unsupported", "it declares a type of document or entities, as no such document does") from error
        except expat.ExpatError as error:
            if not is_optional:
                raise MediaError("undecodable", f"the text of the document is damaged or encrypted: {error}") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._open.append(local)
        self._unseen += local in _UNSEEN
        self._value.clear()
        if local == "r":
            self._is_hidden = False
        elif local == "vanish":
            self._is_hidden = "rPr" in self._open and _value(attributes, "val") not in ("0", "false", "off")
        elif local in _BREAKS and "tabs" not in self._open:
            count = _value(attributes, "c") if local == "s" else ""
            self._put(_BREAKS[local] * (min(int(count), _MAX_SPACES) if count.isdecimal() else 1))

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        self._open.pop()
        self._unseen -= local in _UNSEEN
        if local == "r":
            self._is_hidden = False
        if local in self.named and (value := "".join(self._value).strip()):
            self.values.append((local, value))
        if local in _PARAGRAPHS and not self._unseen:
            self.said.append("\n\n")

    def _say(self, text: str) -> None:
        if self.named:
            self._value.append(text)
        elif self.is_in_runs and self._open[-1] == _RUN_TEXT:
            self._put(text)
        elif not self.is_in_runs and not _PARAGRAPHS.isdisjoint(self._open):
            self._put(_SPACE.sub(" ", text))

    def _put(self, text: str) -> None:
        if not self._unseen and not self._is_hidden:
            self.said.append(text)


def _value(attributes: dict[str, str], local: str) -> str:
    """The value of an attribute, whatever its namespace; empty if there is none."""
    return next((value for name, value in attributes.items() if name.rpartition(" ")[2] == local), "")


def _refuse(*_: object) -> None:
    raise _Declared
