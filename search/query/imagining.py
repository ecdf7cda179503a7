"""Fusion of an answer to words with the answers to pictures that were imagined from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from search.types import Answer, Hit

WORDS_SHARE = 0.5
"""What the words have to say in a fused probability, whatever was imagined: a picture shows one way in which they may be meant."""


def fused(words: Answer, pictures: Sequence[Answer], k: int) -> Answer:
    """The ``k`` best files by the mean of two probabilities: that of the words, and the mean of those of the pictures.

    Each file is shown by the hit that is likelier. A file that one of the questions did not find has the probability of its least hit there,
    since all that is known is that it does not have more.
    """
    if not pictures:
        return words
    by_file: dict[int, list[Hit]] = {}
    tables = [{hit.segment.asset: hit for hit in reversed(answer.hits)} for answer in (words, *pictures)]
    for table in tables:
        for asset, hit in table.items():
            by_file.setdefault(asset, []).append(hit)
    floors = [min((_chance(hit) for hit in answer.hits), default=0.0) if answer.more else 0.0 for answer in (words, *pictures)]
    hits = []
    for asset, found in by_file.items():
        chances = [_chance(table[asset]) if asset in table else floor for table, floor in zip(tables, floors, strict=True)]
        chance = WORDS_SHARE * chances[0] + (1 - WORDS_SHARE) * sum(chances[1:]) / len(pictures)
        best = max(found, key=lambda hit: (_chance(hit), -hit.segment.id))
        likely = min(max(chance, 1e-6), 1 - 1e-6)
        hits.append(replace(best, score=math.log(likely / (1 - likely)), confidence=None if best.confidence is None else chance))
    hits.sort(key=lambda hit: (-hit.score, hit.segment.id))
    page = tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits[:k], 1))
    return replace(words, hits=page, more=len(hits) > k or words.more, found=words.found, estimate=None)


def _chance(hit: Hit) -> float:
    """The calibrated probability of a hit; where there is none, that of its log-odds."""
    return hit.confidence if hit.confidence is not None else 1 / (1 + math.exp(-max(min(hit.score, 50.0), -50.0)))
