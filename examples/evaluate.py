"""Measure how well an archive finds pictures by what their files are called: red-bicycle.jpg by "red bicycle".

python examples/evaluate.py FOLDER, where FOLDER is indexed
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(folder: str) -> None:
    """Write a manifest, a line a question, and have the archive in SENSORIUM_HOME answer it."""
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place) / "manifest.jsonl"
        with manifest.open("w") as lines:
            for picture in sorted(Path(folder).absolute().rglob("*")):
                if picture.suffix in {".jpg", ".png"}:
                    question = {"text": picture.stem.replace("-", " ")}
                    lines.write(json.dumps({"query": question, "targets": ["image"], "relevant": [str(picture)]}) + "\n")
        command = ["sensorium", "eval", str(manifest), "--json"]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for direction, figures in found["directions"].items():
        print(
            f"{direction}: {figures['queries']} queries, R@1 {figures['R@1']:.0%}, R@5 {figures['R@5']:.0%}, nDCG@10 {figures['nDCG@10']:.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
