"""Messages of the page in its code, and the catalogues that translate them: ``python -m tests.texts`` (``make texts``) brings both together."""

from __future__ import annotations

import ast
import datetime
import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from ui import i18n

ROOT = Path(__file__).parents[1]
DATED = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
"""What catalogues say of their date, so that only messages change them."""
LANGUAGES = tuple(code for code in i18n.LANGUAGES if code != "en")


def messages() -> dict[str | tuple[str, str], list[str]]:
    """What the page says, with the files that say it: a message, or a pair of singular and plural."""
    found: dict[str | tuple[str, str], list[str]] = {}
    for file in sorted((ROOT / "ui").rglob("*.py")):
        for one in _python(file.read_text("utf-8")):
            found.setdefault(one, []).append(str(file.relative_to(ROOT)))
    for file in sorted((ROOT / "ui").rglob("*.js")):
        said, counted = i18n.spoken_by(file.read_text("utf-8"))
        for one in (*sorted(said), *sorted(counted)):
            found.setdefault(one, []).append(str(file.relative_to(ROOT)))
    return found


def _python(code: str) -> list[str | tuple[str, str]]:
    found: list[str | tuple[str, str]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "mark", "plural"):
            given = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found += [(given[0], given[1])] if node.func.id == "plural" and len(given) == 2 else given[:1]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_COUNTED":
            found += ast.literal_eval(node.value)
    return found


def catalogue(code: str) -> Catalog:
    """The catalogue of a language as it is stored."""
    file = i18n.FOLDER / code / "LC_MESSAGES" / f"{i18n.DOMAIN}.po"
    return read_po(io.BytesIO(file.read_bytes()), locale=code) if file.exists() else Catalog(code)


def compiled(told: Catalog) -> bytes:
    """A catalogue as the page reads it."""
    buffer = io.BytesIO()
    write_mo(buffer, told)
    return buffer.getvalue()


def main() -> None:
    """Add what is new to the catalogues, take out what is gone, and compile them."""
    said = messages()
    for code in LANGUAGES:
        before, after = catalogue(code), Catalog(code, project="sensorium", fuzzy=False, creation_date=DATED, revision_date=DATED)
        for one, files in sorted(said.items(), key=str):
            known = before.get(one if isinstance(one, str) else one[0])
            after.add(one, known.string if known and known.id == one else None, [(file, None) for file in dict.fromkeys(files)])
        folder = i18n.FOLDER / code / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{i18n.DOMAIN}.po").open("wb") as file:
            write_po(file, after, width=0, omit_header=False)
        (folder / f"{i18n.DOMAIN}.mo").write_bytes(compiled(after))
        print(
            f"{code}: {sum(not one.string or not all(one.string) for one in after if one.id)} of {len(after)} messages are not translated."
        )


if __name__ == "__main__":
    main()
