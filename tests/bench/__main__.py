"""Run the benchmarks and print what they measured.

    python -m tests.bench [NAME…]

The figures also go to ``tests/bench/results/``, one JSON file a run. Exits with 1 where a bound is missed.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import time
from dataclasses import asdict

import tests.bench
from tests.bench.report import ROOT, Figure, Skipped, machine


def names() -> list[str]:
    """Every benchmark: the modules of this package that are called ``bench_…``."""
    return [
        module.name.removeprefix("bench_")
        for module in pkgutil.iter_modules(tests.bench.__path__)
        if module.name.startswith("bench_")
    ]


def main() -> None:
    chosen = sys.argv[1:] or names()
    if unknown := sorted(set(chosen) - set(names())):
        sys.exit(f"There is no benchmark named {unknown[0]!r}. Known: {', '.join(names())}.")
    print(machine(), flush=True)
    found: dict[str, list[Figure]] = {}
    for name in chosen:
        print(f"\n{name}", flush=True)
        try:
            found[name] = []
            for figure in importlib.import_module(f"tests.bench.bench_{name}").run():
                found[name].append(figure)
                print(figure, flush=True)
        except Skipped as why:
            print(f"  SKIPPED: {why}", flush=True)
    results = ROOT / "tests" / "bench" / "results"
    results.mkdir(exist_ok=True)
    report = {"machine": machine(), "figures": {name: [asdict(figure) for figure in some] for name, some in found.items()}}
    (results / time.strftime("%Y%m%d-%H%M%S.json")).write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(not all(figure.kept for some in found.values() for figure in some))


if __name__ == "__main__":
    main()
