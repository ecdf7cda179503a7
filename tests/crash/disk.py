"""A disk whose power can be cut: replays the traced writes of a run, and knows which of them had to be durable at any instant.

As pessimistic as POSIX: the content of a file is durable up to its last fsync, a name up to the last fsync of its folder. What came
after survives or not as chance will: writes in any subset, torn at sectors of 512 bytes, changes of names in their order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.crash.lab import PATIENCE, ROOT

SECTOR = 512
TRACED = (
    "openat,creat,lseek,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,"
    "ftruncate,mkdir,mkdirat,link,linkat,fallocate,copy_file_range,sendfile"
)


@dataclass(frozen=True)
class Call:
    """A system call that succeeded. ``begun``: how many calls had ended when it began; a sync covers only those."""

    name: str
    arguments: list[bytes]
    result: int
    begun: int
    path: bytes = b""


@dataclass(eq=False)
class Node:
    """A file, or a folder with ``names``: what is durable, and what was done since, each with the number of its call."""

    folder: bool
    content: bytearray = field(default_factory=bytearray)
    writes: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    live: dict[str, Node] = field(default_factory=dict)
    names: dict[str, Node] = field(default_factory=dict)
    edits: list[tuple[int, tuple[tuple[str, Node | None], ...]]] = field(default_factory=list)

    def edit(self, number: int, *changes: tuple[str, Node | None]) -> None:
        """Change names at once: a rename is atomic."""
        _rename(self.live, changes)
        self.edits.append((number, changes))

    def sync(self, before: int) -> None:
        """Make durable what was done before a call."""
        for number, offset, data in self.writes:
            if number < before:
                _write(self.content, offset, data)
        self.writes = [one for one in self.writes if one[0] >= before]
        for number, changes in self.edits:
            if number < before:
                _rename(self.names, changes)
        self.edits = [one for one in self.edits if one[0] >= before]

    def survive(self, target: Path, random: Random, keep: float) -> None:
        """Write what the power cut leaves to ``target``; of what was not durable, about the share ``keep``."""
        if not self.folder:
            content = bytearray(self.content)
            for _, offset, data in self.writes:
                for begin in range(0, len(data), SECTOR) if data else (0,):
                    if random.random() < keep:
                        _write(content, offset + begin, data and data[begin : begin + SECTOR])
            target.write_bytes(content)
            return
        target.mkdir()
        names = dict(self.names)
        for _, changes in self.edits[: round(random.random() * keep * len(self.edits) + 0.49 * keep)]:
            _rename(names, changes)
        for name, node in names.items():
            if not name.endswith("-shm"):  # shared memory: SQLite makes it anew
                node.survive(target / name, random, keep)


class Disk:
    """The folder ``root`` while ``calls`` happen to it."""

    def __init__(self, root: Path, start: Path) -> None:
        """What ``start`` holds is durable."""
        self._root = os.fsencode(root)
        self.tree = _load(start)
        self._positions: dict[bytes, int] = {}

    def apply(self, number: int, call: Call) -> None:
        """Let call ``number`` happen."""
        a = call.arguments
        match call.name:
            case "openat" | "creat" if b"O_CREAT" in a[2] or b"O_TRUNC" in a[2]:
                self._positions[call.path] = 0
                folder, name = self._place(call.path)
                if folder is not None and name not in folder.live:
                    folder.edit(number, (name, Node(folder=False)))
                elif b"O_TRUNC" in a[2] and (node := self._find(call.path)):
                    node.writes.append((number, 0, None))
            case "openat":
                self._positions[call.path] = 0
            case "lseek":
                self._positions[call.path] = call.result
            case "write":
                offset = self._positions.get(call.path, 0)
                self._positions[call.path] = offset + call.result
                self._put(number, call, offset)
            case "pwrite64":
                self._put(number, call, int(a[3]))
            case "ftruncate":
                if node := self._find(call.path):
                    node.writes.append((number, int(a[1]), None))
            case "fsync" | "fdatasync":
                if node := self._find(call.path):
                    node.sync(call.begun)
            case "mkdir":
                folder, name = self._place(a[0])
                if folder is not None:
                    folder.edit(number, (name, Node(folder=True)))
            case "unlink" | "rmdir" | "unlinkat":
                folder, name = self._place(a[0] if call.name != "unlinkat" else os.path.join(call.path, a[1]))
                if folder is not None:
                    folder.edit(number, (name, None))
            case "rename":
                (old, name), (new, fresh) = self._place(a[0]), self._place(a[1])
                if old is not None:
                    assert old is new, "files are renamed within a folder"
                    old.edit(number, (name, None), (fresh, old.live[name]))
            case _:
                if self._find(call.path or a[0]):
                    raise NotImplementedError(f"{call.name} on {call.path or a[0]!r}")

    def _put(self, number: int, call: Call, offset: int) -> None:
        if node := self._find(call.path):
            node.writes.append((number, offset, call.arguments[1][: call.result]))

    def _find(self, path: bytes) -> Node | None:
        folder, name = self._place(path)
        if folder is None:
            return self.tree if path == self._root else None
        return folder.live.get(name)

    def _place(self, path: bytes) -> tuple[Node | None, str]:
        """The folder that holds a path, and its name there; None outside of the disk."""
        if not path.startswith(self._root + b"/"):
            return None, ""
        *folders, name = os.fsdecode(path[len(self._root) + 1 :]).split("/")
        node: Node | None = self.tree
        for folder in folders:
            node = node and node.live.get(folder)
        return node, name


def trace(argv: list[str], log: Path, env: dict[str, str]) -> list[Call]:
    """Run the driver; its system calls that write, in the order in which they ended."""
    command = ["strace", "-f", "-y", "-xx", "-s", "4194304", "--seccomp-bpf", "-o", str(log), "-e", f"trace={TRACED}"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "tests.crash.driver", *argv],
        cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls: list[Call] = []
    for call in _parsed(log.read_text(), calls):
        calls.append(call)
    return calls


def _parsed(text: str, before: list[Call]) -> Iterator[Call]:
    begun: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        pid, _, rest = line.partition(" ")
        rest, number = rest.strip(), len(before)
        if rest.endswith("<unfinished ...>"):
            begun[pid] = (number, rest.removesuffix("<unfinished ...>"))
            continue
        if rest.startswith("<... "):
            number, first = begun.pop(pid)
            rest = first + re.sub(r"^<\.\.\. \w+ resumed>", "", rest)
        found = re.match(r"(\w+)\((.*)\)\s+= (\d+)(?:<([^>]*)>)?", rest)  # no strings with commas: all is in hexadecimal
        if found is None:  # it failed, or is a signal or an exit
            continue
        name, told, result, opened = found.groups()
        arguments = [_value(one.strip()) for one in told.split(",")]
        at = re.match(r"(?:\d+|AT_FDCWD)<([^>]*)>", told)
        yield Call(name, arguments, int(result), number, _bytes(opened if opened is not None else at[1] if at else ""))


def _value(told: str) -> bytes:
    return _bytes(told.strip('"')) if told.startswith('"') else told.encode()


def _bytes(told: str) -> bytes:
    return bytes.fromhex(told.replace("\\x", "")) if told.startswith("\\x") else told.encode()


def _load(path: Path) -> Node:
    if path.is_file():
        return Node(folder=False, content=bytearray(path.read_bytes()))
    names = {one.name: _load(one) for one in path.iterdir()}
    return Node(folder=True, live=names, names=dict(names))


def _write(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write at an offset; None: make the file end there."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _rename(names: dict[str, Node], changes: tuple[tuple[str, Node | None], ...]) -> None:
    for name, node in changes:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def copy(tree: Path, target: Path) -> Path:
    """A copy of a home as a power cut would leave it were everything durable."""
    return Path(shutil.copytree(tree, target, ignore=shutil.ignore_patterns("*-shm")))
