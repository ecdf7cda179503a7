# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "torch==2.13.0", "onnx==1.23.2", "onnxruntime==1.32.0", "onnxscript==0.7.2", "tokenizers", "pillow", "numpy", "av",
#   "ai-edge-litert==2.3.0",
# ]
# ///
"""Train the pocket space's sound tower on the scores of YAMNet, export it to ONNX, and print what it reaches.

    python sound.py --packages UNPACKED --esc ESC10 --teacher TEACHER --cache CACHE --out ../weights

``UNPACKED`` holds a folder for each package of sounds (packages.txt; ``dpkg -x`` unpacks them), ``ESC10`` labels.csv and clips/,
``TEACHER`` yamnet.tflite and its class map. The text tower must be in ``--out`` already: sounds are placed by the names of their classes.
What the cache holds is not made again: after a change of the text tower the same command only writes sound.onnx anew.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from export import export, store_small
from held_out import recording, split_recordings
from numpy.typing import NDArray
from report import encode_texts, session
from sounds import SUFFIXES, Teacher, build, decode
from stamped import stamp
from student import SAMPLES, SoundTower, Student, blend
from torch import nn
from torch.nn import functional

STAGES = ((150_000, 0.015, 6, 3e-3), (60_000, 0.4, 3, 1.5e-3))
"""Patches, the share of real recordings among them, epochs, learning rate: first everything, then nearer to what people record."""

BATCH = 128
POWER, MOST = 0.5, 10
"""Chosen with the teacher's scores, on the recordings that are trained on."""
PROMPTS = ("the sound of {}", "{}")
"""A class lies between these, as people ask in both ways."""

HELD_OUT = ("tuxpaint-stamps-default", "sound-icons")
"""Packages that are never trained on: their file names say what they are."""


def train(
    student: Student, patches: NDArray[np.float16], scores: NDArray[np.float16], epochs: int, rate: float, seed: int
) -> None:
    """Sigmoid cross-entropy with the teacher's scores, on patches a little louder or softer, higher or lower."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    student.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
    optimiser = torch.optim.AdamW(student.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * (len(patches) // BATCH))
    for epoch in range(epochs):
        order, losses = rng.permutation(len(patches)), []
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            mel = torch.from_numpy(patches[rows].astype(np.float32)) + 0.3 * torch.randn(BATCH, 1, 1)
            mel = mel.roll(int(rng.integers(-2, 3)), dims=2)
            loss = functional.binary_cross_entropy_with_logits(student(mel), torch.from_numpy(scores[rows].astype(np.float32)))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: {np.mean(losses):.5f}", flush=True)
    student.eval()


def assemble(student: Student, classes: list[str], out: Path) -> torch.Tensor:
    """Write sound.onnx for the text tower that is in ``out``; returns the class vectors (521, dim)."""
    spoken = [encode_texts(out, [prompt.format(name.lower()) for name in classes]) for prompt in PROMPTS]
    vectors = functional.normalize(torch.from_numpy(sum(spoken)), dim=1)
    tower = SoundTower(_folded(student), vectors, POWER, MOST).eval()
    example = (torch.zeros(2, SAMPLES), torch.tensor([SAMPLES, 8000]))
    axes = {"waveform": {0: "n"}, "length": {0: "n"}, "vectors": {0: "n"}}
    export(tower, example, out / "sound.onnx", axes)
    store_small(out / "sound.onnx")
    stamp(out)
    return vectors


def _folded(student: Student) -> Student:
    folded = Student().eval()
    folded.load_state_dict(student.state_dict())
    for block in [folded.net, *(part for part in folded.net if isinstance(part, nn.Sequential))]:
        for index in range(1, len(block)):
            if isinstance(block[index], nn.BatchNorm2d):
                block[index - 1] = nn.utils.fuse_conv_bn_eval(block[index - 1], block[index])
                block[index] = nn.Identity()
    return folded


def figures(
    out: Path, student_clips: dict[Path, str], names: list[str], teacher: Teacher, vectors: torch.Tensor, what: str
) -> None:
    """Print how often a sound is found by its name, and its name by the sound: the exported student against its teacher."""
    paths = list(student_clips)
    sounds = [decode(path) for path in paths]
    ours = np.stack([_encode(out, sound) for sound in sounds])
    theirs = np.stack([blend(torch.from_numpy(teacher.clip(sound)[None]), vectors, POWER, MOST).numpy()[0] for sound in sounds])
    labels = np.array([names.index(student_clips[path]) for path in paths])
    queries = encode_texts(out, [f"the sound of {name}" for name in names])
    print(f"{what}: {len(paths)} sounds, {len(names)} names")
    for who, found in (("student", ours), ("teacher", theirs)):
        scores = found @ queries.T
        named = float(np.mean(scores.argmax(axis=1) == labels))
        order = np.argsort(-scores, axis=0)
        hit = [np.isin(np.flatnonzero(labels == n), order[:10, n]).any() for n in range(len(names))]
        precision = [np.mean(labels[order[:10, n]] == n) for n in range(len(names))]
        print(
            f"  {who}: named right {100 * named:.1f}%, R@10 by name {100 * np.mean(hit):.1f}%, precision@10 {np.mean(precision):.2f}"
        )


_GRAPHS: dict[Path, object] = {}


def _encode(out: Path, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound of any length as the program encodes it: the mean of its windows."""
    graph = _GRAPHS.setdefault(out, session(out / "sound.onnx"))
    windows = [sound[start : start + SAMPLES] for start in range(0, max(len(sound), 1), SAMPLES)]
    waveform = np.stack([np.pad(window, (0, SAMPLES - len(window))) for window in windows])
    length = np.array([len(window) for window in windows], np.int64)
    mean = graph.run(None, {"waveform": waveform, "length": length})[0].mean(axis=0)  # type: ignore[attr-defined]
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def main() -> None:
    """Sounds, student, export, figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("packages", "esc", "teacher", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "weights")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    with (given.teacher / "yamnet_class_map.csv").open(newline="") as file:
        classes = [row[-1] for row in list(csv.reader(file))[1:]]
    with (given.esc / "labels.csv").open(newline="") as file:
        labels = {given.esc / "clips" / row["clip"]: row["label"] for row in csv.DictReader(file)}
    held = split_recordings([path.name for path in labels])
    teacher = Teacher(given.teacher / "yamnet.tflite")
    learned = [path for path in labels if recording(path.name) not in held]
    student = Student().eval()
    for number, (count, share, epochs, rate) in enumerate(STAGES):
        data, weights = given.cache / f"patches{number}.npz", given.cache / f"student{number}.pt"
        if not weights.exists():
            if not data.exists():
                patches, scores = build(given.packages, learned, teacher, count, share=share, held_out=HELD_OUT, seed=number)
                np.savez(data, patches=patches, scores=scores)
            loaded = np.load(data)
            train(student, loaded["patches"], loaded["scores"], epochs, rate, seed=number)
            torch.save(student.state_dict(), weights)
        student.load_state_dict(torch.load(weights, weights_only=True))
    vectors = assemble(student, classes, given.out)
    unseen = {path: label for path, label in labels.items() if recording(path.name) in held}
    figures(given.out, unseen, sorted(set(labels.values())), teacher, vectors, "ESC-10, held-out recordings")
    others = {
        path: path.stem.split("_")[0].replace("-", " ")
        for package in HELD_OUT
        for path in sorted((given.packages / package).rglob("*"))
        if path.suffix.lower() in SUFFIXES and "_desc" not in path.stem
    }
    figures(given.out, others, sorted(set(others.values())), teacher, vectors, f"never met: {', '.join(HELD_OUT)}")


if __name__ == "__main__":
    main()
