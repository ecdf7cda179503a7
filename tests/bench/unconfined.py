"""A decoder without confinement: what ``bench_decode`` measures it against."""

from __future__ import annotations

from search.media.sandbox import child, confine


def nothing(*_: object, **__: object) -> confine.Absent:
    return {}


if __name__ == "__main__":
    confine.isolate = confine.restrict_calls = nothing  # type: ignore[assignment]
    confine.limit = nothing  # type: ignore[assignment]
    child.main()
