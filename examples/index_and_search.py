"""Index a folder and ask it a question.

python examples/index_and_search.py FOLDER QUESTION
"""

import sys
from pathlib import Path

from indexer.run import RunRequest, index
from search.query import Engine, Term
from search.settings import load
from search.types import Filter, Modality


def main(folder: str, question: str) -> None:
    """Print the best three pictures; the archive lies in SENSORIUM_HOME, as for the command line."""
    settings = load()
    summary = index(settings, RunRequest([Path(folder)]))
    print(f"{summary.progress.done} files indexed, {summary.progress.failed} failed")
    with Engine(settings) as engine:
        answer = engine.search(Term(question, Modality.TEXT), Filter(modalities=(Modality.IMAGE,)), k=3)
    for hit in answer.hits:
        print(hit.rank, hit.segment.path, "" if hit.confidence is None else f"{hit.confidence:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
