"""Media: what a file is, and its content cut into segments. The only importers of PyAV, Pillow, pdfium and selectolax.

Importing this package loads none of them: they load, each when first needed, in the disposable processes of a
``DecodePool``.
"""

from search.media.pool import DecodePool
from search.media.sniff import EXTENSIONS, sniff

__all__ = ["EXTENSIONS", "DecodePool", "sniff"]
