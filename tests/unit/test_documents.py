"""README, ARCHITECTURE and the pages of docs hold together: links lead somewhere, code stands in the examples."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)):
        if re.match(r"\w+://", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        assert not heading or heading in anchors(file), target


def test_the_readme_leads_to_every_page():
    told = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"({page.relative_to(ROOT)})" not in told] == []


def test_code_of_the_readme_stands_in_an_example():
    examples = [re.sub(r"^ +", "", path.read_text(), flags=re.MULTILINE) for path in (ROOT / "examples").glob("*.py")]
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert any(re.sub(r"^ +", "", block, flags=re.MULTILINE) in example for example in examples), block


def test_the_demo_in_the_readme_fits_eighty_columns():
    (shown,) = re.findall(r"What `make demo` prints.*?```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert max(map(len, shown.splitlines())) <= 80


def test_the_picture_of_the_grammar_is_drawn_from_it(monkeypatch):
    spec = importlib.util.spec_from_file_location("railroad", ROOT / "docs" / "railroad.py")
    railroad = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "railroad", railroad)
    spec.loader.exec_module(railroad)
    assert railroad.picture() == (ROOT / "docs" / "form.svg").read_text(encoding="utf-8"), "Run `python docs/railroad.py`."
