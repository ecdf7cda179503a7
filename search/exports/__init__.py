"""Exports: moments as lists, subtitles, annotations and timelines, and clips of them, each with a manifest of hashes."""

from search.exports.bundle import FORMATS, bundle
from search.exports.excerpt import Excerpt
from search.exports.timecode import FrameClock

__all__ = ["FORMATS", "Excerpt", "FrameClock", "bundle"]
