"""Names that are traps for whoever hands them to a program, prints them, or takes them for an address."""

from __future__ import annotations

TRAPS: tuple[bytes, ...] = (
    b"-i.", b"--help.", b"-.", b"- -y.", b"line\nbreak.", b"return\r.", b"tab\t.", b"bell\a\x1b[31m.", b"%d.", b"%05d.", b"%s%n%n.", b"frame-%03d.",
    b"concat:a|b.", b"subfile,,start,0,end,9,,:a.", b"file:a.", b"http:a.", b"data:a.", b"pipe:0.", b"fd:.", b"|touch owned.", b";touch owned;.",
    b"$(touch owned).", b"`touch owned`.", b"a&b.", b"'quote'.", b'"quotes".', b"back\\slash.", b"*.", b"?.", b"[a-z].", b"{1..9}.", b"~.", b"#.",
    b"n" * 240 + b".", "ü".encode() * 120 + b".", b"\xff\xfe\xfd.", b"\x80.", b"\xed\xa0\x80.", "\u202egnp.".encode(), "\u200f\u200e.".encode(),
    "e\u0301.".encode(), "\ufeff.".encode(), "\u0000".encode().replace(b"\0", b" ") + b".", b"...", b".hidden.", b" .", b"a .", b"a..", b"con.",
    b"aux.", b"<script>alert(1)</script>.".replace(b"/", b"_"), b"&lt;.", b"[bold]x[/bold].".replace(b"/", b"_"), b"{}.", b"%2e%2e%2f.", b"%00.",
    "日本語.".encode(), "🐕.".encode(), b"a=b.", b"@list.", b"!bang.", b"+.", b",.", b"(.", b"a:b:c.", b"C:.",
)  # fmt: skip
"""Up to and with the dot; the suffix comes behind it."""
