"""File uploads in forms: streams the single file of a ``multipart/form-data`` body (RFC 7578)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from search.errors import Problem

MAX_NAME = 255
"""Characters of a file's name that are looked at, from its end."""


class FileInForm:
    """The first file of a form; other fields are skipped."""

    def __init__(self, boundary: bytes) -> None:
        self.name = ""
        self._found = self._over = self._inside = False
        self._header, self._value, self._told = b"", b"", b""
        self._ready: list[bytes] = []
        self._parser = MultipartParser(boundary, {
            "on_part_begin": self._begin, "on_header_field": self._field, "on_header_value": self._says, "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end, "on_part_data": self._data, "on_part_end": self._end,
        })  # fmt: skip

    @classmethod
    def of(cls, content_type: str) -> FileInForm | None:
        """A parser for a body of this content type; None if it is not a form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data":
            return None
        if not boundary:
            raise _broken("Its Content-Type names no boundary.")
        return cls(boundary)

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes of the file.

        Raises:
            Problem: the form is malformed, holds no file, or more than one (422).
        """
        try:
            async for chunk in chunks:
                self._parser.write(chunk)
                for part in self._ready:
                    yield part
                self._ready.clear()
            self._parser.finalize()
        except FormParserError as error:
            raise _broken(f"{error}.") from error
        if not self._over:
            raise _broken("It holds no file, or ends within it.")

    def _begin(self) -> None:
        self._told = b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _says(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._told = self._value
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._told)
        if b"filename" not in options:
            return
        if self._found:
            raise _broken("It holds more than one file.")
        self._found = self._inside = True
        self.name = options[b"filename"].decode("utf-8", "replace")[-MAX_NAME:]

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._ready.append(data[start:end])

    def _end(self) -> None:
        self._over, self._inside = self._over or self._inside, False


def _broken(why: str) -> Problem:
    return Problem(
        422, "form", "The form cannot be read", f"The body is no form that holds one file. {why}",
        remedy="Send the file itself as the body, or one file in a form.",
    )  # fmt: skip
