"""Scripts that tests and benchmarks run in the browser."""

from __future__ import annotations

TWO_HUNDRED = """async () => {
    const host = [...document.querySelectorAll("*")].map((node) => node.shadowRoot).find((root) => root?.part?.cards);
    const one = host.part.cards[0], cards = Array.from({ length: 200 }, (_, at) => ({ ...one, segment: at + 1, name: `card ${at}` }));
    const began = performance.now();
    host.part.update({ cards, more: false, sure: 0, summary: "", marked: null });
    host.part.list.getBoundingClientRect();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - began;
}"""
"""Has the grid draw two hundred cards; milliseconds until the browser is at rest."""
