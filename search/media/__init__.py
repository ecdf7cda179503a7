"""Media: the type of a file, and its content cut into segments. The only importers of PyAV, Pillow, pdfium and selectolax.

Importing this package loads none of them. They are loaded in the disposable, confined processes of a ``DecodePool``.
"""

from search.media.sandbox.pool import DecodePool
from search.media.sniff import (
    EXTENSIONS,
    HEAD_BYTES,
    ending,
    extra_of,
    is_media,
    is_media_inside,
    is_readerless,
    sniff,
    suffix_of,
)

__all__ = [
    "EXTENSIONS", "HEAD_BYTES", "DecodePool", "ending", "extra_of", "is_media", "is_media_inside", "is_readerless", "provenance_readable", "sniff", "suffix_of", "versions",
]  # fmt: skip


def provenance_readable() -> bool:
    """Whether content credentials can be read: the extra ``provenance`` is installed."""
    from importlib.util import find_spec

    return find_spec("c2pa") is not None


def versions() -> dict[str, str]:
    """The versions of what decodes: PyAV, Pillow and pdfium."""
    from importlib.metadata import version  # takes a fifth of a decoder's start

    return {name: version(name) for name in ("av", "pillow", "pypdfium2")}
