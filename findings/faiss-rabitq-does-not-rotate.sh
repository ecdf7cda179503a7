#!/usr/bin/env bash
# RaBitQ (arXiv 2405.12497) keeps one bit a dimension, after a random rotation that its error bound rests on. Vectors of which a few dimensions hold
# most of the length, as embeddings after a PCA, are what the rotation is for.
#
# Guess: the index "RaBitQ" rotates what it is given, so that the hundred best codes hold nearly all of the ten nearest neighbours.
# Seen (faiss-cpu 1.15.1): it takes the signs of the dimensions as they come: .40 of the ten nearest are among the hundred best codes, fewer than a
# product quantiser of as many bytes finds. "RR128,RaBitQ", with the rotation in front, finds .97. Nothing warns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.3.5
cat >"$folder/try.py" <<'PY'
import sys

import faiss
import numpy as np

rows, size = 10_000, 128
rng = np.random.default_rng(0)
lengths = (1 / (1 + np.arange(size))).astype(np.float32)
vectors, queries = (rng.standard_normal((count, size), np.float32) * lengths for count in (rows, 200))


def ask(description, count):
    index = faiss.index_factory(size, description)
    index.train(vectors)
    index.add(vectors)
    return index.search(queries, count)[1]


right, seen = ask("Flat", 10), {}
for description in ("RaBitQ", "RR128,RaBitQ", "PQ16x8"):
    found = ask(description, 100)
    seen[description] = round(float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(right, found)])), 2)
print(faiss.__version__, seen)
sys.exit(not seen["RaBitQ"] < 0.5 < seen["PQ16x8"] < 0.9 < seen["RR128,RaBitQ"])
PY
"$folder/venv/bin/python" "$folder/try.py"
