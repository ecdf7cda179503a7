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

NAMELESS = """() => {
    const all = (root) => [...root.querySelectorAll("*")].flatMap((node) => [node, ...(node.shadowRoot ? all(node.shadowRoot) : [])]);
    const named = (node) => [
        node.getAttribute("aria-label"), node.title, node.innerText, ...[...(node.labels ?? [])].map((label) => label.innerText),
        ...(node.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => node.getRootNode().getElementById(id)?.innerText),
        ...[...node.querySelectorAll("img")].map((image) => image.alt),
    ].some((name) => name?.trim());
    const pressed = "button, a[href], input, select, textarea, audio, video, summary, [role=button], [role=combobox], [role=slider]";
    return all(document.body).filter((node) => node.checkVisibility())
        .filter((node) => (node.matches("img") ? !node.hasAttribute("alt") : node.matches(pressed) && !named(node)))
        .map((node) => node.outerHTML.slice(0, 200));
}"""
"""Pictures without an alternative text, and what can be pressed or typed into without a name."""

AT_REST = """() => {
    const roots = (root) => [root, ...[...root.querySelectorAll("*")].flatMap((node) => (node.shadowRoot ? roots(node.shadowRoot) : []))];
    const moving = roots(document).flatMap((root) => root.getAnimations())
        .filter((one) => one.playState === "running" && one.effect?.getComputedTiming().endTime !== Infinity);
    return Promise.all(moving.map((one) => one.finished.catch(() => null))).then(() => moving.length);
}"""
"""Waits until what slides or unfolds has come to its end; how many animations there were."""

FOCUSED = "() => { let node = document.activeElement; while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement; return node }"
"""The element that keys go to, inside whatever part it lies."""
