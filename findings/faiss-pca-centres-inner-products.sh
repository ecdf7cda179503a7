#!/usr/bin/env bash
# Vectors of CLIP and its kin are compared by inner product and share a large mean. An index "PCA32,Flat" over 32 dimensions keeps all of them: it turns
# the space and drops nothing.
#
# Guess: then METRIC_INNER_PRODUCT gives the scores and the order of "Flat", as it does behind a rotation (OPQ, RR).
# Seen (faiss-cpu 1.15.1): PCAMatrix also subtracts the mean, from queries too, so that the products are those of centred vectors: a vector with
# itself scores 0.03 in place of 1.00, and of ten neighbours three are the same. METRIC_L2 is not touched by that. With "RR32,Flat" scores and
# neighbours are those of "Flat".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.3.5
cat >"$folder/try.py" <<'PY'
import sys

import faiss
import numpy as np

rows, size = 2_000, 32
vectors = 1 + np.random.default_rng(0).standard_normal((rows, size), np.float32) / 6
faiss.normalize_L2(vectors)


def ask(description, metric):
    index = faiss.index_factory(size, description, metric)
    index.train(vectors)
    index.add(vectors)
    return index.search(vectors[:200], 10)


def shared(one, other):
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(one, other)]))


seen = {}
for name, metric in (("ip", faiss.METRIC_INNER_PRODUCT), ("l2", faiss.METRIC_L2)):
    _, right = ask("Flat", metric)
    for description in (f"PCA{size},Flat", f"RR{size},Flat"):
        scores, found = ask(description, metric)
        seen[description, name] = round(float(scores[:, 0].mean()), 3), round(shared(found, right), 3)
print(faiss.__version__, seen)
as_seen = (
    seen["PCA32,Flat", "ip"][0] < 0.1
    and seen["PCA32,Flat", "ip"][1] < 0.9
    and seen["RR32,Flat", "ip"][0] > 0.999
    and min(seen["RR32,Flat", "ip"][1], seen["PCA32,Flat", "l2"][1], seen["RR32,Flat", "l2"][1]) > 0.98
)
sys.exit(not as_seen)
PY
"$folder/venv/bin/python" "$folder/try.py"
