"""What a walk leaves out: hidden names, files that NAS, desktops and downloads leave in folders, and the user's own patterns in
gitignore syntax."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from search.errors import InputError
from search.folders import is_address

USUAL = (
    ".*",  # hidden: AppleDouble (._a.jpg), .Trash-1000, .thumbnails, .@__thumb
    "@eaDir", r"\#recycle", r"\#snapshot", "@Recycle", "@Recently-Snapshot", "@tmp",  # of NAS
    "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Thumbs.db", "ehthumbs.db", "desktop.ini", "lost+found",
    "*.part", "*.partial", "*.crdownload", "*.download",  # half a file
)  # fmt: skip
"""Names that are left out by default, as patterns of gitignore."""

NO_MEDIA = ".nomedia"
"""A folder that holds a file of this name is left out, as Android does it."""

_NAMES = re.compile(
    rb"\..*|(?:@eadir|#recycle|#snapshot|@recycle|@recently-snapshot|@tmp|\$recycle\.bin|recycler|system volume information|thumbs\.db"
    rb"|ehthumbs\.db|desktop\.ini|lost\+found)|.*\.(?:part|partial|crdownload|download)",
    re.IGNORECASE | re.DOTALL,
)
"""``USUAL`` as one expression, a hundred times as fast."""


class Exclusions:
    """The patterns of a run. Later ones win; ``!pattern`` includes again what an earlier one excluded."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """
        Raises:
            InputError: a pattern that cannot be read.
        """
        self._own = [pattern.strip() for pattern in patterns if pattern.strip()]
        self.heeds_no_media = f"!{NO_MEDIA}" not in self._own
        try:
            self._spec = GitIgnoreSpec.from_lines(self._own) if self._own else None
        except ValueError as error:
            raise InputError(
                f"A pattern to exclude cannot be read: {error}.", remedy="Write it as in a .gitignore file."
            ) from error

    @classmethod
    def of(cls, setting: str, patterns: Sequence[str] = ()) -> Exclusions:
        """The patterns of the setting ``exclude``, separated by commas, followed by further ones."""
        return cls([*setting.split(","), *patterns])

    def leaves_out(self, path: bytes, root: bytes, *, folder: bool) -> bool:
        """Whether ``path`` below ``root`` is left out. A folder is left out with everything in it."""
        name = os.path.basename(path)
        usual = _NAMES.fullmatch(name) is not None
        if self._spec is None:
            return usual
        below = os.fsdecode(path[len(root.rstrip(b"/")) + 1 :]) + ("/" if folder else "")
        told = self._spec.check_file(below).include
        return usual if told is None else told

    def leaves_out_below(self, path: bytes, root: bytes, *, folder: bool) -> bool:
        """The same for a path whose parent folders were not walked: whether it or a folder above it is left out."""
        inner = path
        while len(inner) > len(root.rstrip(b"/")) and inner != root:
            if self.leaves_out(inner, root, folder=folder or inner != path):
                return True
            inner = os.path.dirname(inner)
            if (
                self.heeds_no_media
                and inner != root
                and not is_address(inner)
                and os.path.exists(os.path.join(inner, os.fsencode(NO_MEDIA)))
            ):
                return True
        return False
