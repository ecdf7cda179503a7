"""Content from the web to search with, for services that are configured to fetch it.

A caller could name an address inside the service's own network. So only https to port 443 is allowed. A name is resolved once,
and all its addresses must be public; the connection uses one of these, even if the name resolves differently later. Each redirect
is checked in the same way.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from typing import TypeAlias
from urllib.parse import quote, unquote, urljoin, urlsplit

from search.errors import InputError, Problem

PORT = 443

MAX_REDIRECTS = 3

MAX_URL_CHARACTERS = 2_000

PATIENCE_SECONDS = 10.0
"""The timeout of one connection, and of one piece of an answer."""

TOTAL_SECONDS = 60.0
"""The timeout of the whole fetch."""

POST_SECONDS = 10.0
"""The timeout of telling a webhook."""

PIECE_BYTES = 1 << 16

_REDIRECTS = (301, 302, 303, 307, 308)

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""The prefix of addresses that end with an IPv4 address (RFC 6052)."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Bounded:
    """A connection that can be aborted: single timeouts do not suffice, a server could send a byte now and then."""

    _opened: socket.socket | None = None

    @contextlib.contextmanager
    def until(self, moment: float) -> Iterator[None]:
        """Abort the connection at a time of the monotonic clock."""
        timer = threading.Timer(max(moment - time.monotonic(), 0), self._break)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _break(self) -> None:
        if self._opened is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._opened, socket.SHUT_RDWR)  # under the reading thread; TLS is not asked


class _Local(_Bounded, http.client.HTTPConnection):
    """A connection to this machine."""

    def connect(self) -> None:
        """Connect."""
        super().connect()
        self._opened = self.sock


class _Connection(_Bounded, http.client.HTTPSConnection):
    """A connection to a host by an address that was checked before."""

    def __init__(self, host: str, address: Address, context: ssl.SSLContext) -> None:
        super().__init__(host, PORT, timeout=PATIENCE_SECONDS, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        """Connect to the address and verify the host's certificate."""
        plain = socket.create_connection((str(self._address), PORT), PATIENCE_SECONDS)
        secure = self._tls.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = self._opened = secure
        secure.do_handshake()


def fetch(url: str, most: int) -> Generator[bytes]:
    """The content at an address in pieces, at most ``most`` bytes in all.

    Raises:
        Problem: the address is not allowed, does not answer, or has too much content (422).
    """
    until = time.monotonic() + TOTAL_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        host, target = _parts(url)
        connection = _Connection(host, public_address(host), ssl.create_default_context())
        try:
            with contextlib.closing(connection), connection.until(until):
                connection.request(
                    "GET", target, headers={"Accept-Encoding": "identity", "User-Agent": "sensorium", "Accept": "*/*"}
                )
                with contextlib.closing(connection.getresponse()) as answer:
                    if answer.status in _REDIRECTS and (further := answer.headers.get("Location")):
                        url = urljoin(url, further)
                        continue
                    if answer.status != http.client.OK:
                        raise _refused(f"It answers with status {answer.status}.")
                    yield from _pieces(answer, most)
                    return
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _refused(f"Nobody answers there as a web server should, within {TOTAL_SECONDS:.0f} seconds.") from error
    raise _refused(f"It leads on more than {MAX_REDIRECTS} times.")


def check_webhook(url: str) -> None:
    """Raise Problem (422) for an address that is neither https to its usual port nor http to this machine. Nothing is resolved yet."""
    with _told():
        if not _local(url):
            _parts(url)


def signature(body: bytes, secret: str, moment: int) -> dict[str, str]:
    """The headers that sign a message sent at a time in seconds since 1970, as Standard Webhooks has them: its id, which is the same
    whenever it is sent again, the time, and the HMAC of both with the body. None without a secret."""
    if not secret:
        return {}
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else secret.encode()
    except ValueError as error:
        raise InputError(
            "The secret of webhooks is not base64 after whsec_.", remedy="Look at SENSORIUM_WEBHOOK_SECRET."
        ) from error
    id_ = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
    signed = hmac.digest(key, f"{id_}.{moment}.".encode() + body, "sha256")
    return {"webhook-id": id_, "webhook-timestamp": str(moment), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def post(url: str, body: bytes, secret: str = "") -> None:
    """Send JSON to an address that ``check_webhook`` lets pass, signed with a secret. Redirects are not followed.

    Raises:
        Problem: it does not answer within ``POST_SECONDS``, or refuses (422).
    """
    until = time.monotonic() + POST_SECONDS
    connection: _Local | _Connection
    headers = {"Content-Type": "application/json", "User-Agent": "sensorium", **signature(body, secret, int(time.time()))}
    with _told():
        if here := _local(url):
            host, port, target = here
            connection = _Local(host, port, timeout=POST_SECONDS)
        else:
            host, target = _parts(url)
            connection = _Connection(host, public_address(host), ssl.create_default_context())
        with contextlib.closing(connection), connection.until(until):
            connection.request("POST", target, body, headers)
            with contextlib.closing(connection.getresponse()) as answer:
                if not 200 <= answer.status < 300:
                    raise _refused(f"It answers with status {answer.status}.")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Says of whatever fails inside that a webhook cannot be told."""
    why = f"Nobody answers there as a web server should, within {POST_SECONDS:.0f} seconds."
    try:
        yield
    except (Problem, OSError, http.client.HTTPException, ValueError) as error:
        why = str(error).removeprefix(_CANNOT) if isinstance(error, Problem) else why
        raise Problem(
            422, "webhook", "The webhook cannot be told", f"The webhook cannot be told. {why}",
            remedy="Name an address that begins with https://, or http:// on this machine.",
        ) from error  # fmt: skip


def _local(url: str) -> tuple[str, int, str] | None:
    """The host, port and path of an http address of this machine; None: it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    loopback = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    if parts.scheme != "http" or not loopback or parts.username is not None or len(url) > MAX_URL_CHARACTERS:
        return None
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return host, port or 80, f"{path}?{quote(parts.query, safe=_QUERY)}" if parts.query else path


def name_of(url: str) -> str:
    """The name of the content at an address: the last part of its path."""
    return unquote(urlsplit(url).path.rpartition("/")[2])[-255:]


def public_address(host: str) -> Address:
    """The address of a host. It is resolved once.

    Raises:
        Problem: there is none, or one of them is not public (422).
    """
    try:
        found = socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refused("Its host is not known.") from error
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(map(is_public, addresses)):
        raise _refused("Its host is not on the public internet.")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet. An address that embeds an IPv4 address is judged by that; tunnels (6to4,
    Teredo) are not public."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour or address.teredo:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _parts(url: str) -> tuple[str, str]:
    """The host of a URL, and the path and query to request."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii") if not _is_address(parts.hostname) else str(parts.hostname)
    except (ValueError, UnicodeError) as error:
        raise _refused("It is no address.") from error
    if len(url) > MAX_URL_CHARACTERS or not host:
        raise _refused("It is no address.")
    if parts.scheme != "https" or port not in (None, PORT):
        raise _refused("Only https is spoken, to its usual port.")
    if parts.username is not None or parts.password is not None:
        raise _refused("It holds a name or a password.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return host, f"{path}?{quote(parts.query, safe=_QUERY)}" if parts.query else path


_QUERY = "/%:@!$&'()*+,;=~-._?"


def _is_address(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return True


def _pieces(answer: http.client.HTTPResponse, most: int) -> Iterator[bytes]:
    size = 0
    while piece := answer.read1(PIECE_BYTES):
        size += len(piece)
        if size > most:
            raise _refused(f"It holds more than {most >> 20} MB.")
        yield piece
    if answer.length:
        raise _refused("It ended before all had come.")


_CANNOT = "The address cannot be fetched. "


def _refused(why: str) -> Problem:
    return Problem(
        422, "url", "The address cannot be fetched", f"{_CANNOT}{why}",
        remedy="Fetch it yourself, and send the file to POST /v1/uploads.",
    )  # fmt: skip
