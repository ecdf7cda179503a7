"""Media: what a file is, and its content cut into segments. The only importers of PyAV, Pillow, pdfium and selectolax.

Importing this package loads none of them: they load in the disposable and confined processes of a ``DecodePool``.
"""

from search.media.pool import DecodePool
from search.media.sniff import EXTENSIONS, ending, is_media, sniff

__all__ = ["EXTENSIONS", "DecodePool", "ending", "is_media", "sniff", "versions"]


def versions() -> dict[str, str]:
    """The versions of what decodes: PyAV, Pillow and pdfium."""
    from importlib.metadata import version  # takes a fifth of a decoder's start

    return {name: version(name) for name in ("av", "pillow", "pypdfium2")}
