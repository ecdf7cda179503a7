"""The manifest of a folder of weights: what its files are, and their hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def stamp(folder: Path, space: dict[str, Any] | None = None) -> None:
    """Write ``manifest.json``: the space (kept from before when None), and SHA-256 and size of every file beside it."""
    manifest = folder / "manifest.json"
    if space is None:
        space = json.loads(manifest.read_bytes())["space"]
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.suffix in {".onnx", ".json", ".npz"} and path != manifest
    }
    manifest.write_text(json.dumps({"space": space, "files": files}, indent=1) + "\n", "utf-8")
