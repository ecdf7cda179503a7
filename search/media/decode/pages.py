"""PDF: the text of its pages, through pdfium."""

from __future__ import annotations

from collections.abc import Iterator

import pypdfium2

from search.errors import MediaError
from search.media.decode.paragraphs import paragraphs, unhyphenated
from search.media.metadata import dates
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, DateSource, Gap, Info, Modality, Needs, Span

MAX_PAGES = 2000
"""Pages that are read of a document."""


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:  # noqa: ARG001  one signature for all decoders
    """Cut the text of each page into paragraphs; spans are in characters of all pages' text, joined by form feeds.

    Raises:
        MediaError: ``undecodable``; ``no_content``, as for scanned pages without text.
    """
    try:
        document = pypdfium2.PdfDocument(source.file, autoclose=False)
    except pypdfium2.PdfiumError as error:
        raise MediaError("undecodable", f"the PDF cannot be opened; its reader says: {error}") from error
    told = document.get_metadata_dict()
    stamps = [
        *dates.stamps(DateSource.TAGS, str(told.get("CreationDate", ""))), *dates.stamps(DateSource.CHANGED, str(told.get("ModDate", ""))),
    ]  # fmt: skip
    yield Info(Modality.TEXT, "pdf", title=str(told.get("Title", "")).strip() or None, stamps=dates.distinct(stamps))
    begin, found, gaps = 0, False, list[Gap]()
    for number in range(min(len(document), MAX_PAGES)):
        try:
            text = _page(document, number)
        except pypdfium2.PdfiumError as error:
            gaps.append(Gap("not_sampled", f"page {number + 1} cannot be read; the reader says: {error}"))
            continue
        for start, end in paragraphs(text, needs.characters):
            found = True
            yield Cut(Channel.TEXT, Modality.TEXT, Span(begin + start, begin + end, "char"), text[start:end])
        begin += len(text) + 1
    if not found:
        raise MediaError("no_content", "the pages hold no text; they may be scanned")
    yield from gaps
    if len(document) > MAX_PAGES:
        yield Gap("not_sampled", f"only the first {MAX_PAGES} of {len(document)} pages were read")


def _page(document: pypdfium2.PdfDocument, number: int) -> str:
    page = document[number]
    try:
        return unhyphenated(str(page.get_textpage().get_text_bounded()).replace("\r\n", "\n"))
    finally:
        page.close()
