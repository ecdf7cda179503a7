"""The Reader interface: turns media into text with times. Readers are loaded on first use, by name.

A name is ``family:model``: ``speech:tiny.en``, ``ocr``, ``caption:PATH``. A family may have ``OPTIONS``, which are appended:
``speech:base,untranslated``. A family is a module here, or one that another package registers under the entry point group
``sensorium.readers``. Each has ``load(model: Model | None, device: str) -> Reader``. A family whose models come from a hub also
has ``source(rest: str) -> Source`` and ``KNOWN``, the names of its recommended models; ``note(rest: str) -> str`` says
what to know of a model. A family that looks for things with given labels has ``LABELLED = True``, and its ``load`` takes ``labels`` too.
Importing a family loads no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from types import ModuleType
from typing import Protocol, TypeVar, cast, runtime_checkable

from search.encoders import lacking, module_of, offline
from search.encoders.known_models import MODEL_FAMILIES, KnownModel
from search.errors import InputError
from search.models import Models, ModelSource, outside
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage, PictureCodes, Thing

T = TypeVar("T")

FAMILIES = {
    "speech": "search.readers.speech",
    "ocr": "search.readers.ocr",
    "caption": "search.readers.caption",
    "written": "search.readers.written",
    "regions": "search.readers.windows",
    "detect": "search.readers.detect",
}
"""Family -> module."""

EXTRAS = {"speech": "asr"}
"""The extra that brings what a family needs, where it has another name."""


@runtime_checkable
class Reader(Protocol):
    """Turns media into text with times. Threads may call ``read`` at the same time."""

    name: str
    """By which it is loaded: ``speech:tiny.en``."""
    revision: str
    """Changes whenever what it would read may change."""
    channels: frozenset[Channel]
    """What it fills; none: it yields codes of pictures, or things."""
    reads: frozenset[Modality]
    """The assets that it looks at."""
    needs: Needs
    """What is decoded for it: windows of sound, frames, metadata."""

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | PictureCodes | Thing | Gap]:
        """Read an asset. Its cuts come in order of time as they are decoded; none is kept in memory longer than needed.

        Gaps in the input can be ignored. A Gap that the reader yields says what it could not read, and why.

        Raises:
            MediaError: nothing of it can be read.
            ModelMissing: its weights are not here, or are not what they should be.
        """
        ...


def names() -> tuple[str, ...]:
    """The families whose readers can be loaded."""
    return tuple(sorted({*FAMILIES, *(point.name for point in entry_points(group="sensorium.readers"))}))


def known() -> list[KnownModel]:
    """The recommended models of our readers."""
    modules = {of: family(of) for of in FAMILIES}
    return [
        KnownModel(f"{of}:{rest}", MODEL_FAMILIES[of].takes, None, MODEL_FAMILIES[of].licence, note=_note(module, rest))
        for of, module in modules.items()
        for rest in getattr(module, "KNOWN", ())
    ]


def _note(module: ModuleType, rest: str) -> str:
    return str(module.note(rest)) if hasattr(module, "note") else ""


def family(name: str) -> ModuleType:
    """The module of the family that a reader's name begins with.

    Raises:
        UnknownName: there is no such family.
        ModelMissing: a package that it needs is not installed.
    """
    return module_of(name, "reader", FAMILIES, EXTRAS)


def source(name: str) -> ModelSource:
    """Where the files of a reader's model come from.

    Raises:
        UnknownName: there is no such family, or it knows no such model.
        InputError: there is nothing to fetch.
        ModelMissing: a package that the family needs is not installed.
    """
    rest, module = name.partition(":")[2], family(name)
    if not rest or outside(name) is not None or not hasattr(module, "source"):
        raise InputError(f"The reader {name} comes from no hub.", remedy="Name one that does: sensorium models list")
    return opened(name, lambda module: cast("ModelSource", module.source(rest)))


def load(name: str, models: Models, device: str = "auto", labels: Sequence[str] = ()) -> Reader:
    """Load a reader; ``models`` are those of this machine, ``labels`` those of the things that it looks for.

    Raises:
        InputError: it looks for things, and there are no labels; or it does not, and there are.
        UnknownName: there is no reader of that name.
        ModelMissing: its weights are not here, or are not what they should be; or a package that it needs is not installed.
    """
    rest = name.partition(":")[2]

    def make(module: ModuleType) -> Reader:
        files = next((name.removesuffix(f",{one}") for one in getattr(module, "OPTIONS", ()) if name.endswith(f",{one}")), name)
        if bool(labels) != getattr(module, "LABELLED", False):
            raise InputError(
                f"The reader {name} looks for no labels." if labels else f"The reader {name} has nothing to look for.",
                remedy="Leave out --labels."
                if labels
                else 'Name the things: --labels "dog,cat,traffic light", or a file of labels.',
            )
        given = {"labels": tuple(labels)} if labels else {}
        reader: Reader = module.load(replace(models.find(files), name=name) if rest else None, device, **given)
        return reader

    return opened(name, make)


def opened(name: str, make: Callable[[ModuleType], T]) -> T:
    """Call ``make`` with the family of a reader's name, without fetching anything.

    Raises:
        UnknownName: there is no such family.
        ModelMissing: a package that it needs is not installed.
    """
    module = family(name)
    try:
        with offline():
            return make(module)
    except ModuleNotFoundError as error:
        of = name.partition(":")[0]
        raise lacking(EXTRAS.get(of, of), error) from error
