"""The disposable process that decodes. Opened files come in over the socket at standard input; answers go back.

It is run as ``python -P -m search.media.sandbox.child MEMORY SLOTS FREE HEIF ANCHORS MASKS`` by ``process.py``. It loads everything that decoding
needs, gives up everything else (``confine.py``), and only then reads the first byte of a file. It keeps no state between files,
except colour transforms, which depend only on the bytes of a profile.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import select
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from search.errors import MediaError
from search.media.metadata import positions, provenance
from search.media.sandbox import confine, protocol
from search.media.sandbox.slots import SLOT_BYTES, Slots
from search.media.sniff import HEAD_BYTES
from search.media.source import Found, Limits, Read, Source
from search.types import MaskPrompt, Modality, Needs

_READERS = {
    Modality.IMAGE: "search.media.decode.images",
    Modality.AUDIO: "search.media.decode.streams",
    Modality.VIDEO: "search.media.decode.streams",
    Modality.TEXT: "search.media.decode.texts",
    Modality.DEPTH: "search.media.decode.depth",
    Modality.THERMAL: "search.media.decode.thermal",
    Modality.IMU: "search.media.decode.motion",
}
_LATE = (
    "_strptime", "unicodedata", "mmap", "numpy.ma", "charset_normalizer.md", "search.media.decode.pages",
    "PIL.ImageColor", "PIL.ImageFilter", "PIL.MpoImagePlugin",
)  # fmt: skip
"""Modules that libraries would import while reading a file, when no file can be opened any more; in addition to all of PyAV and
all character sets."""
_THREADS = 16
"""The number of threads of a decoder that may have threads."""
_DESCRIPTORS = 32
"""Descriptors that a decoder may hold: its own seven, and a few copies of the file's."""


def main() -> None:
    """Serve until the parent closes the socket."""
    gc.disable()  # until everything is loaded, since that makes no garbage
    memory, shared, free, heif = (int(argument) for argument in sys.argv[1:5])
    os.dup2(2, 1)
    _load(heif=bool(heif), anchors=sys.argv[5], masks=bool(int(sys.argv[6])))
    control, slots = socket.socket(fileno=os.dup(0)), Slots.attach(shared, free)
    _confine(memory, threads=bool(heif))
    while request := _receive(control):
        header, descriptor, beside = request
        with os.fdopen(descriptor, "rb") as file:
            source = Source(file, os.fstat(descriptor).st_size, file.read(HEAD_BYTES), header["suffix"])
            file.seek(0)
            limits = Limits(**header["limits"])
            modality = Modality(header["modality"])
            found: Iterator[protocol.Reply]
            if header["task"] == "positions":
                found = positions.find(file, source.size, modality)
            elif header["task"] == "provenance":
                found = iter([provenance.find(source, modality, limits, beside)])
            elif header["task"] == "mask":
                from search.media.decode import grabcut

                needs = Needs(**header["needs"])
                found = grabcut.masked(decode(modality, source, needs, limits), MaskPrompt(**header["prompt"]), needs)
            else:
                found = provenance.told(decode(modality, source, Needs(**header["needs"]), limits), source, limits)
            for reply in _answer(modality, found, limits):
                _send(control, slots, reply)


def _load(*, heif: bool, anchors: str, masks: bool = False) -> None:
    """Import everything that any file may need, and read the certificates that one trusts. The garbage collector then ignores these objects."""
    import encodings

    import av

    of_av = (name for _, name, _ in pkgutil.walk_packages(av.__path__, "av.") if name not in ("av.__main__", "av.datasets"))
    sets = (f"encodings.{name}" for _, name, _ in pkgutil.iter_modules(encodings.__path__) if name not in ("mbcs", "oem"))
    for name in (*_READERS.values(), *_LATE, *of_av, *sets):
        importlib.import_module(name)
    if heif:
        from search.media.decode import images

        images.learn_heif()
    if masks:
        importlib.import_module("search.media.decode.grabcut")
    provenance.learn(anchors)
    gc.freeze()
    gc.enable()


def _confine(memory: int, *, threads: bool) -> None:
    """Give up what decoding does not need. ``sensorium doctor`` reports protections that the system does not grant.

    ``threads``: allow threads, which HEIF's decoder needs.
    """
    confine.isolate()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    confine.limit(CORE=0, FSIZE=0, NPROC=_THREADS if threads else 0, NOFILE=_DESCRIPTORS, AS=memory)
    confine.restrict_calls(threads=threads)


def _answer(modality: Modality, found: Iterator[protocol.Reply], limits: Limits) -> Iterator[protocol.Reply]:
    """Pass on what is found, and translate every failure into a ledger reason."""
    try:
        yield from found
    except MediaError as error:
        yield error
    except MemoryError:
        setting = "decode_memory" if modality in (Modality.AUDIO, Modality.VIDEO) else "image_memory"
        yield MediaError("too_large", f"needs more memory than {setting} allows ({limits.memory >> 20} MiB)")
    except Exception as error:  # noqa: BLE001  hostile files raise anything
        yield MediaError("undecodable", f"it cannot be decoded; the decoder says: {type(error).__name__}: {error}")
    else:
        yield None


def decode(modality: Modality, source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode one file: ``Info``, then cuts and gaps in order of time.

    Raises:
        MediaError: nothing of the file can be decoded.
        Exception: any error of a library on a file that it did not expect.
    """
    read: Read = importlib.import_module(_READERS[modality]).read
    return read(source, needs, limits)


def _receive(control: socket.socket) -> tuple[dict[str, Any], int, bytes | None] | None:
    """The next request, its file, and the content of a file beside it, if one comes along; None: there will be no more."""
    prefix, descriptors, _, _ = socket.recv_fds(control, protocol.PREFIX.size, 2)
    if not prefix:
        return None
    prefix += _exactly(control, protocol.PREFIX.size - len(prefix))
    length, _ = protocol.PREFIX.unpack(prefix)
    beside = None
    for descriptor in descriptors[1:]:
        with os.fdopen(descriptor, "rb") as file:
            beside = file.read(provenance.MAX_MANIFEST_BYTES)
    return protocol.unpack_header(_exactly(control, length)), descriptors[0], beside


def _exactly(control: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = control.recv(length - len(received))
        if not part:
            raise EOFError
        received += part
    return received


def _send(control: socket.socket, slots: Slots, reply: protocol.Reply) -> None:
    """Send a reply, its payload slot by slot."""
    message, payload = protocol.pack_reply(reply)
    for at in range(0, len(payload), SLOT_BYTES):
        control.sendall(message + slots.put(payload[at : at + SLOT_BYTES]))
        message = b""
    if message:
        control.sendall(message)


def _die_with_parent() -> None:
    """Exit when the parent does, even in the middle of a file.

    A hang-up of the socket says so. PR_SET_PDEATHSIG would not do: it fires when the parent's *thread* ends.
    """
    poller = select.poll()
    poller.register(0, 0)
    poller.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
