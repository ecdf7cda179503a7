"""Signed media: a signer with a chain of certificates of its own, and pictures with content credentials."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
QUIET = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}, "builder": {"thumbnail": {"enabled": False}}}


@cache
def chain(name: str) -> tuple[bytes, bytes, bytes]:
    """A signer's certificates, its key, and the root that it goes back to, all in PEM."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: str, public: Any) -> x509.CertificateBuilder:
        def named(common: str) -> x509.Name:
            return x509.Name(
                [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name), x509.NameAttribute(NameOID.COMMON_NAME, common)]
            )

        return (
            x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named("Root")).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=2)).not_valid_after(now + dt.timedelta(days=3650))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )  # fmt: skip

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)

    root = (
        certificate("Root", root_key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(usage(signs=False), True).sign(root_key, hashes.SHA256())
    )  # fmt: skip
    leaf = (
        certificate(name, key.public_key()).add_extension(x509.BasicConstraints(False, None), True).add_extension(usage(signs=True), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False).sign(root_key, hashes.SHA256())
    )  # fmt: skip
    pem = [one.public_bytes(serialization.Encoding.PEM) for one in (leaf, root)]
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(pem), private, pem[1]


def picture(colour: tuple[int, int, int] = (200, 30, 30), form: str = "JPEG", **written: Any) -> bytes:
    """A picture of one colour, unsigned."""
    made = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(made, form, **written)
    return made.getvalue()


def created(source: str) -> list[dict[str, Any]]:
    return [{"action": "c2pa.created", "digitalSourceType": SOURCES + source}]


def signed(
    content: bytes, actions: Sequence[dict[str, Any]], *, form: str = "image/jpeg", signer: str = "Newsroom", edits: bool = False,
    components: Sequence[bytes] = (), link: str = "", embed: bool = True, title: str = "made",
) -> tuple[bytes, bytes]:  # fmt: skip
    """A file with content credentials, and these by themselves. ``edits``: the file that is given is the parent."""
    import c2pa

    certificates, key, _ = chain(signer)
    settings = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=certificates, private_key=key, ta_url=None)
    manifest = {
        "claim_generator_info": [{"name": "sample-maker", "version": "1.0"}], "title": title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}] if actions else [],
    }  # fmt: skip
    builder = c2pa.Builder(manifest, context=c2pa.Context.from_dict(QUIET))
    if edits:
        builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    for number, component in enumerate(components):
        builder.add_ingredient({"title": f"part {number}", "relationship": "componentOf"}, form, io.BytesIO(component))
    if link:
        builder.set_remote_url(link)
    if not embed:
        builder.set_no_embed()
    made = io.BytesIO()
    manifest_bytes = builder.sign(c2pa.Signer.from_info(settings), form, io.BytesIO(content), made)
    return made.getvalue(), manifest_bytes
