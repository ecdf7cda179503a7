# /// script
# requires-python = ">=3.11"
# dependencies = ["sensorium", "av", "numpy", "pillow"]
# ///
"""Make the calibration of the pocket space, and print what it reaches.

    python calibrate.py --captions FLICKR8K --esc ESC10 --packages UNPACKED --stamps STAMPS --wordnet WORDNET --cache CACHE --out ../weights

``FLICKR8K``, ``ESC10`` and ``UNPACKED`` are as ``scene.py`` and ``sound.py`` want them; ``STAMPS`` and ``WORDNET`` are ``/usr/share/tuxpaint/stamps`` and
``/usr/share/wordnet`` of the Debian packages tuxpaint-stamps-default and wordnet-base. The impostor cohort is of what the towers were trained on, of
objects, and of frequent nouns; the models are fitted on one half of the held-out pictures and on the learned recordings, and reported on the other half and on the
held-out recordings. Foreign questions come from ``search/query/questions.py``, those of the report from ``tests/bench/absent.py``. Without ``--out`` nothing is
written. It takes some seven minutes on one core, and four more for the vectors the first time; the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import re
import runpy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cases import AUDIO, IMAGE, TEXT, Captioned, Half, build, head
from held_out import recording, split_pictures, split_recordings
from numpy.typing import NDArray
from sources import Sources, captions, examples, nouns, packaged_sounds, recordings, stamps
from stamped import stamp

from search.query import fitting, questions
from search.query.calibration import Calibration, pack, unpack
from search.query.fitting import Case, fit, reliability
from search.types import Modality

SCENE, DIM = 384, 768

ABSENT = Path(__file__).parents[4] / "tests" / "bench" / "absent.py"

VERBS = re.compile(
    r"\b(is|are|was|stands?|sits?|runs?|plays?|jumps?|walks?|holds?|wears?|looks?|rides?|climbs?|swims?|sleeps?|poses?|smiles?|makes?|takes?|leaps?"
    r"|lies|lays|throws?|kicks?|has|have|does|drinks?|eats?|watch(es)?|carry|carries|[a-z]+ing|who|that|while|and|as|,|\.)\b"
)
"""What ends the noun phrase that a caption begins with."""

ASKED = ("{}", "the sound of {}", "a {}", "{} in the background", "listen to a {}")
"""Ways to ask for a class of sounds."""


@dataclass(frozen=True, slots=True)
class Given:
    """Everything that was read: pictures with their captions, and which of them are held out; objects; the words of WordNet; sounds."""

    pictures: list[Path]
    captions: list[list[str]]
    learned: NDArray[np.int64]
    held: NDArray[np.int64]
    stamps: list[tuple[Path, str]]
    nouns: list[str]
    examples: list[str]
    clips: list[tuple[Path, str]]
    sounds: list[Path]


def read(folders: argparse.Namespace) -> Given:
    """Read the folders; the same every time."""
    paths, texts = captions(folders.captions)
    learned, held = split_pictures(len(paths))
    shuffled = examples(folders.wordnet)
    order = np.random.default_rng(3).permutation(len(shuffled))[:1500]
    clips = recordings(folders.esc)
    without = sorted({word for _, label in clips for word in label.split() if len(word) > 3})
    return Given(
        paths, texts, learned, held, stamps(folders.stamps), nouns(folders.wordnet)[:4000], [shuffled[at] for at in order], clips,
        packaged_sounds(folders.packages, without, 700),
    )  # fmt: skip


def cohort(given: Given, sources: Sources) -> Calibration:
    """The impostor cohort: contents and questions that have nothing to do with each other, nor with what is fitted or reported on."""
    rng = np.random.default_rng(0)
    objects = given.stamps[::2]
    chosen = [objects[at][0] for at in np.sort(rng.permutation(len(objects))[:256])]
    pictures = np.concatenate([sources.pictures([given.pictures[at] for at in given.learned[:256]]), sources.pictures(chosen)])
    sounds = sources.sounds(given.sounds[:450])
    held = held_clips(given)
    heard = np.concatenate([sources.sounds([path for path, _ in given.clips if path not in held]), sounds[:200]])
    told = [given.captions[at][0] for at in given.learned[256:376]]
    texts = sources.texts([*told, *given.examples[:250], *given.nouns[:1500:12]])
    asked = sources.texts([*given.nouns[:1400:2], *given.nouns[1400:3000:8], *given.examples[250:350]])
    return Calibration(
        {IMAGE: pictures, AUDIO: heard, TEXT: texts}, {TEXT: asked, IMAGE: pictures[::2], AUDIO: sounds[200:]}, {},
        parts=((0, SCENE), (SCENE, DIM)), wording=(SCENE, DIM),
    )  # fmt: skip


def half(
    given: Given, sources: Sources, number: int, things: Sequence[tuple[str, str]], noises: Sequence[str], nonsense: Sequence[str]
) -> Half:
    """What the half 0, for fitting, or 1, for the report, is made of; with questions that are foreign to it."""
    held = given.held[number::2]
    plain = [[plainly(caption) for caption in given.captions[at]] for at in held]
    texts = [caption for some in plain for caption in some]
    picture = np.repeat(np.arange(len(held)), [len(some) for some in plain])
    pictures = Captioned(sources.pictures([given.pictures[at] for at in held]), texts, sources.texts(texts), picture)
    phrases = phrases_of(given, number)
    objects = given.stamps[1 + 2 * number :: 4]
    names = [name for _, name in objects]
    learned = {path for path, _ in given.clips} - held_clips(given)
    clips = [(path, label) for path, label in given.clips if (path in learned) == (number == 0)]
    labels = sorted({label for _, label in given.clips})
    asked = [(label, how.format(label)) for label in labels for how in ASKED]
    foreign = [*(phrase for phrase, _ in things), *(plainly(sentence) for _, sentence in things), *nonsense]
    return Half(
        pictures, list(zip(phrases, sources.texts(phrases), strict=True)), names, sources.pictures([path for path, _ in objects]),
        sources.texts(names), sources.texts(given.examples[350 + number :: 2][:500]), list(zip(foreign, sources.texts(foreign), strict=True)),
        sources.sounds([path for path, _ in clips]), [label for _, label in clips], sources.sounds(given.sounds[450 + number :: 2]),
        [(label, text, vector) for (label, text), vector in zip(asked, sources.texts([text for _, text in asked]), strict=True)],
        list(zip(noises, sources.texts(noises), strict=True)),
    )  # fmt: skip


def plainly(text: str) -> str:
    """A caption as a person types it: without a full stop."""
    return text.strip().rstrip(" .")


def held_clips(given: Given) -> set[Path]:
    """The clips of the held-out recordings."""
    held = split_recordings([path.name for path, _ in given.clips])
    return {path for path, _ in given.clips if recording(path.name) in held}


def phrase_of(caption: str) -> str:
    """The noun phrase of up to seven words that a caption begins with; empty where it begins with none."""
    ends = VERBS.search(caption.lower())
    phrase = caption.lower()[: ends.start()].strip(" ,.") if ends else ""
    return phrase if phrase.split(" ")[0] in {"a", "an", "two", "three", "the"} and 2 <= len(phrase.split()) <= 7 else ""


def phrases_of(given: Given, number: int) -> list[str]:
    """Every other of the noun phrases that captions of the held-out pictures begin with, and of the frequent nouns that these are about: others occur in
    captions, too, but are not what is seen, as in "in the air" and "at work"."""
    found: set[str] = set()
    about: dict[str, int] = defaultdict(int)
    for at in given.held:
        phrases = {phrase for caption in given.captions[at] if (phrase := phrase_of(caption))}
        found |= phrases
        for noun in {head(phrase) for phrase in phrases}:
            about[noun] += 1
    known = [noun for noun in given.nouns if " " in noun and 2 <= about[noun.split(" ", 1)[1]] <= 250]
    every = sorted(found)
    leading = [every[at] for at in np.random.default_rng(7).permutation(len(every))[:600]]
    return [*leading[number::2], *known[number::2]]


def report(calibration: Calibration, cases: Sequence[Case]) -> None:
    """Print what the calibration reaches on cases that it was not fitted on, by direction."""
    print("direction        there/absent  AUC  kept  called found though absent: foreign, near miss   error of hits")
    by_direction: dict[tuple[Modality, Modality], list[Case]] = defaultdict(list)
    for case in cases:
        by_direction[case.asked, case.archive.kind.content].append(case)
    for key, some in by_direction.items():
        if (direction := calibration.directions.get(key)) is None:
            print(f"{key[0]:5} -> {key[1]:5}  not fitted")
            continue
        table = fitting._table(calibration, some)
        logits = direction.verdict[""] + table.features @ np.array([direction.verdict.get(name, 0.0) for name in table.names])
        there = table.present == 1
        over = logits > np.array(direction.lines)[table.classes]
        scores = (table.z * direction.slope + logits[table.case] * direction.here + direction.offset).astype(np.float32)
        asked = zip(scores, table.case.tolist(), strict=True)
        chances = np.array([calibration.probability(one, len(some[at].archive.vectors), some[at].words) for one, at in asked])
        shares = [
            f"{float(over[mask].mean()):5.3f}" if mask.any() else "    -"
            for mask in (there, ~there & table.foreign, ~there & ~table.foreign)
        ]
        area, (error, _) = auc(logits[there], logits[~there]), reliability(chances, table.right, fitting._of_hits(table))
        print(f"{key[0]:5} -> {key[1]:5} {there.sum():6}/{(~there).sum():5}  {area:.3f}", *shares, f" {error:.3f}")


def auc(there: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """The chance that one score of ``there`` is above one of ``absent``."""
    order = np.concatenate([there, absent]).argsort(kind="stable").argsort()
    return float((order[: len(there)].sum() - len(there) * (len(there) - 1) / 2) / (len(there) * len(absent)))


def main() -> None:
    """Fit, report, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("captions", "esc", "packages", "stamps", "wordnet", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    folders = parser.parse_args()
    sources, given = Sources(folders.cache), read(folders)
    things = [one for some in questions.FOREIGN.values() for one in some]
    noises = [one for some in questions.SOUNDS.values() for one in some]
    made = cohort(given, sources)
    fitted = fit(made, build(made, half(given, sources, 0, things, noises, questions.MEANINGLESS)))
    content = pack(replace(fitted, made="calibrate.py"))
    if ABSENT.exists():
        absent: dict[str, Any] = runpy.run_path(str(ABSENT))
        other = half(given, sources, 1, absent["THINGS"], absent["SOUNDS"], absent["MEANINGLESS"])
        report(unpack(content, DIM), build(made, other, seed=100))
    print(f"{len(content):,} bytes")
    if folders.out:
        folders.out.mkdir(parents=True, exist_ok=True)
        (folders.out / "calibration.npz").write_bytes(content)
        stamp(folders.out)


if __name__ == "__main__":
    main()
