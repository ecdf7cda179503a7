"""Media: what a file is, and its content cut into segments. The only importers of PyAV, Pillow, pdfium and selectolax.

Importing this package loads none of them: they load, each when first needed, in the disposable processes of a
``DecodePool``.
"""

from importlib.metadata import version

from search.media.pool import DecodePool
from search.media.sniff import EXTENSIONS, sniff

__all__ = ["EXTENSIONS", "DecodePool", "sniff", "versions"]


def versions() -> dict[str, str]:
    """The versions of what decodes: PyAV with the FFmpeg libraries that it carries, Pillow and pdfium."""
    import av

    libraries = {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}
    packages = {name: version(name) for name in ("av", "pillow", "pypdfium2")}
    return packages | {name: libraries[name] for name in ("libavcodec", "libavformat")}
