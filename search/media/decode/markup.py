"""HTML: the text that a reader of the page would see."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser

_HIDDEN = [
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "head",
    "iframe",
    "object",
    "select",
]
_UNSEEN = "[hidden],[aria-hidden=true],[style*='display:none' i],[style*='display: none' i],[style*='display : none' i]"
_BLOCKS = (
    "address,article,aside,blockquote,dd,div,dl,dt,fieldset,figcaption,figure,footer,form,h1,h2,h3,h4,h5,h6,header,hr,li,main,nav,ol,p,pre,"
    "section,table,tr,ul,summary,details"
)
_BREAK = "\u2029"
"""Marks the ends of blocks while white space is folded."""
_DATED = (
    "date", "dc.date", "dcterms.created", "dcterms.date", "dc.date.created", "article:published_time", "datepublished", "pubdate",
    "citation_publication_date",
)  # fmt: skip
"""Names of a page's metadata that tell when it was written, the most usual first."""
_HEAD = 50_000
"""Characters of a page in which its metadata are looked for."""


def dated(page: str) -> list[str]:
    """When a page says that it was written, unparsed."""
    told: dict[str, str] = {}
    for node in LexborHTMLParser(page[:_HEAD]).css("meta[content]"):
        name = node.attributes.get("name") or node.attributes.get("property") or node.attributes.get("itemprop") or ""
        told.setdefault(name.lower(), node.attributes.get("content") or "")
    return [told[name] for name in _DATED if name in told]


def visible(page: str) -> tuple[str, str | None]:
    """The visible text of a page, blocks separated by blank lines, and its title."""
    tree = LexborHTMLParser(page)
    node = tree.css_first("title")
    title = " ".join(node.text().split()) if node is not None else ""
    tree.strip_tags(_HIDDEN)  # it takes names of tags alone
    for unseen in tree.css(_UNSEEN):
        unseen.decompose()
    for block in tree.css(_BLOCKS):
        block.insert_before(_BREAK)
        block.insert_after(_BREAK)
    for line_break in tree.css("br,td,th"):
        line_break.insert_after(" ")
    text = tree.body.text(separator="") if tree.body is not None else ""
    blocks = (" ".join(block.split()) for block in re.split(_BREAK, text))
    return "\n\n".join(block for block in blocks if block), title or None
