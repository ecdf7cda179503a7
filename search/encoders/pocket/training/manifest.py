"""Lay out what was held out as an archive, with the questions that `sensorium eval` asks of it.

    python manifest.py --captions FLICKR8K --esc ESC10 --out FOLDER
    sensorium index FOLDER/archive && sensorium eval FOLDER/manifest.jsonl

A thousand pictures and their five thousand captions, each a text of its own; the clips of the held-out recordings, asked for by name.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from held_out import recording, split_pictures, split_recordings


def pictures(folder: Path, archive: Path) -> Iterator[dict[str, Any]]:
    """Link the held-out pictures, write their captions, and ask for each by the other: by meaning alone, as what stands in quotes in a caption need not
    occur in a text."""
    paths = sorted((folder / "images").iterdir())
    chosen = {paths[row].name: paths[row] for row in split_pictures(len(paths))[1]}
    captions: dict[str, list[str]] = defaultdict(list)
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions[row["image"]].append(row["caption"])
    (archive / "texts").mkdir()
    for name, path in chosen.items():
        picture = _link(path, archive / "images")
        texts = [archive / "texts" / f"{path.stem}-{number}.txt" for number in range(len(captions[name]))]
        for text, caption in zip(texts, captions[name], strict=True):
            text.write_text(caption + "\n", "utf-8")
            yield {"query": {"text": caption}, "words": False, "targets": ["image"], "relevant": [str(picture)]}
        yield {"query": {"image": str(picture)}, "targets": ["text"], "relevant": [str(text) for text in texts]}


def sounds(folder: Path, archive: Path) -> Iterator[dict[str, Any]]:
    """Link the held-out clips, and ask for them by the names of their classes."""
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["clip"]: row["label"] for row in csv.DictReader(file)}
    held = split_recordings(list(labels))
    clips: dict[str, list[str]] = defaultdict(list)
    for clip, label in labels.items():
        if recording(clip) in held:
            clips[label].append(str(_link(folder / "clips" / clip, archive / "sounds")))
    for label, relevant in sorted(clips.items()):
        yield {"query": {"text": f"the sound of {label}"}, "targets": ["audio"], "relevant": relevant}


def _link(path: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    link = folder / path.name
    link.symlink_to(path.resolve())
    return link


def main() -> None:
    """Write the archive and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("captions", "esc", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    archive = given.out.absolute() / "archive"
    archive.mkdir(parents=True)
    lines = [*pictures(given.captions, archive), *sounds(given.esc, archive)]
    (given.out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
