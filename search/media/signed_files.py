"""Signed files: content credentials (C2PA) in what is exported, by one's own key and certificate.

The source is what it was made of (``parentOf``), with the credentials that the source carries. The key stays in this process: another one,
confined, reads the source and asks for signatures.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from search.errors import InputError, MediaError, ModelMissing
from search.media.metadata.provenance import form_of
from search.media.opening import Held, opened
from search.media.sandbox.credential_writer import DONE, SIGN, receive, send
from search.media.sandbox.process import environment, sparse

SECONDS, MEMORY_BYTES = 60, 4 << 30
"""Processor time and address space of the process that signs a file."""

_FORMS = {"mp4": "video/mp4", "flac": "audio/flac", "jpg": "image/jpeg"}
"""Suffixes of what is exported and can be signed."""
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/humanEdits"
"""IPTC: changed by people, with tools that generate nothing."""
_HEAD_BYTES, _MOST_BYTES, _PATIENCE = 64, 1 << 32, 300
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key and the certificates that go with it, its own first. What it shows of itself holds no key."""

    certificates: str
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)

    @classmethod
    def read(cls, key: Path, certificates: Path) -> SigningKey:
        """Read a private key without a password and a chain of certificates, both in PEM.

        Raises:
            ModelMissing: the extra ``provenance`` is not installed.
            InputError: a file cannot be read or holds none, the key is of a kind that C2PA does not take, or is not the certificate's.
        """
        if importlib.util.find_spec("c2pa") is None:
            raise ModelMissing(
                "Signing needs the package c2pa-python, which is not installed.",
                remedy="Install it with: pip install 'sensorium[provenance]'",
            )
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            held = serialization.load_pem_private_key(_bytes_of(key), None)
        except (ValueError, TypeError):  # what they say might quote the key
            raise InputError(
                f"{key} holds no private key in PEM without a password.",
                remedy="Make one: openssl pkey -in KEY.pem -out PLAIN.pem",
            ) from None
        chain = _bytes_of(certificates).decode("ascii", "replace")
        try:
            first = x509.load_pem_x509_certificates(chain.encode())[0]
        except (ValueError, IndexError):
            raise InputError(
                f"{certificates} holds no certificates in PEM.", remedy="Name the file of your certificate and of those above it."
            ) from None
        public = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if first.public_key().public_bytes(*public) != held.public_key().public_bytes(*public):
            raise InputError(
                f"The key in {key} is not the one of the first certificate in {certificates}.",
                remedy="Put your own certificate first, then those above it.",
            )
        algorithm, sign = _signing(held, key)
        return cls("\n".join(_CERTIFICATE.findall(chain)) + "\n", algorithm, sign)


def credentialed(file: Path | Held, name: str, suffix: str, content: bytes, actions: tuple[str, ...], key: SigningKey) -> bytes:
    """What was exported (``content``, named ``name`` with ``suffix``) with credentials that say which ``actions`` of C2PA made it of
    ``file``. A source whose format carries no credentials is named alone.

    Raises:
        InputError: files of this suffix carry none.
        MediaError: the source cannot be read, or its credentials cannot be kept.
    """
    if suffix not in _FORMS:
        raise InputError(
            f"Files that end in .{suffix} carry no content credentials.",
            remedy="Export without --copy, which makes MP4, or without --sign.",
        )
    with opened(file) as descriptor:
        form = form_of(os.pread(descriptor, _HEAD_BYTES, 0)) or ""
        source = {"title": file.name.encode("utf-8", "replace").decode(), "relationship": "parentOf", "label": "source"} | (
            {"format": form} if form else {}
        )
        told = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}},
            *({"action": action, "digitalSourceType": _SOURCE_TYPE} for action in actions),
        ]
        manifest = {
            "claim_generator_info": [{"name": "sensorium", "version": version("sensorium")}], "title": f"{name}.{suffix}",
            "ingredients": [] if form else [source],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": told}}],
        }  # fmt: skip
        asked = {
            "manifest": manifest, "source": source, "source_form": form, "form": _FORMS[suffix], "algorithm": key.algorithm,
            "certificates": key.certificates,
        }  # fmt: skip
        return _written(descriptor, json.dumps(asked).encode(), content, key)


def _written(descriptor: int, asked: bytes, content: bytes, key: SigningKey) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "search.media.sandbox.credential_writer", *map(str, (descriptor, MEMORY_BYTES, SECONDS))],
            stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=sparse(environment()), pass_fds=[descriptor], process_group=0,
        )  # fmt: skip
        theirs.close()
        ours.settimeout(_PATIENCE)
        try:
            send(ours, SIGN, asked)
            send(ours, SIGN, content)
            while (message := receive(ours, _MOST_BYTES))[0] == SIGN:
                send(ours, SIGN, key.sign(message[1]))
        except (EOFError, OSError, ValueError):
            raise MediaError("undecodable", "the program that signs it ended too early") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if message[0] != DONE:
        raise MediaError("undecodable", f"it cannot be signed: {message[1].decode('utf-8', 'replace')}")
    return message[1]


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", remedy="Check its path and its permissions.") from None


def _signing(held: object, file: Path) -> tuple[str, Callable[[bytes], bytes]]:
    """C2PA's name of a key's algorithm (C2PA 2.4, 13.2.1), and what signs with it, in the form that COSE takes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if isinstance(held, ed25519.Ed25519PrivateKey):
        return "ED25519", held.sign
    if isinstance(held, rsa.RSAPrivateKey) and held.key_size >= 2048:
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        return "PS256", lambda data: held.sign(data, salted, hashes.SHA256())
    digests: dict[str, tuple[str, hashes.HashAlgorithm]] = {
        "secp256r1": ("ES256", hashes.SHA256()), "secp384r1": ("ES384", hashes.SHA384()), "secp521r1": ("ES512", hashes.SHA512()),
    }  # fmt: skip
    if isinstance(held, ec.EllipticCurvePrivateKey) and held.curve.name in digests:
        algorithm, digest = digests[held.curve.name]
        length = (held.curve.key_size + 7) // 8

        def sign(data: bytes) -> bytes:
            return b"".join(part.to_bytes(length, "big") for part in decode_dss_signature(held.sign(data, ec.ECDSA(digest))))

        return algorithm, sign
    raise InputError(
        f"The key in {file} is of a kind that content credentials do not take.",
        remedy="Take one on P-256, P-384 or P-521, Ed25519, or RSA from 2,048 bits on.",
    )
