"""Login: people enter the page through an OpenID Connect provider, by Streamlit's own login. Their claims say what they may do.

One TOML file tells both: ``[auth]`` is what Streamlit documents for ``st.login``, ``[access]`` is ours.
"""

from __future__ import annotations

import json
import os
import stat
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from search.api.identity import LOGIN, Caller
from search.api.prefixed import public
from search.errors import InputError, UnknownName
from search.store.tokens import Role, checked

LASTING_SECONDS: Final = 12 * 3600
"""How long a login counts. The provider is asked again after it, so that what it took from somebody is gone by then."""

_HOW = 'See docs/service.md, "Log in with OpenID Connect", for an example.'


@dataclass(frozen=True, slots=True)
class OpenIdLogin:
    """The provider, and what each value of a claim lets somebody do; the first value of the file that somebody has counts."""

    file: Path
    provider: str
    claim: str
    callers: Mapping[str, Caller]

    @classmethod
    def read(cls, file: Path) -> OpenIdLogin:
        """The login that a file describes.

        Raises:
            InputError: it cannot be read, others may read the secrets in it, or it lacks something.
            UnknownName: a role that there is not.
        """
        try:
            with file.open("rb") as opened:
                if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                    raise InputError(f"Others can read the secrets in {file}.", remedy=f"Run: chmod 600 {file}")
                told = tomllib.load(opened)
        except (OSError, ValueError) as error:
            raise InputError(f"The login file {file} cannot be read: {error}.", remedy=_HOW) from error
        auth, access = (_table(told, name) for name in ("auth", "access"))
        values = access.get("values")
        if not auth or not isinstance(values, dict) or not isinstance(access.get("claim"), str):
            raise InputError(f"The login file {file} lacks [auth], or [access] with a claim and its values.", remedy=_HOW)
        if lacks := [name for name in ("redirect_uri", "cookie_secret") if not isinstance(auth.get(name), str)]:
            raise InputError(f"[auth] of the login file {file} lacks {lacks[0]}.", remedy=_HOW)
        named = [name for name, value in auth.items() if isinstance(value, dict) and "client_id" in value]
        provider = "default" if "client_id" in auth else next(iter(named), "")
        if not provider:
            raise InputError(f"[auth] of the login file {file} names no client_id.", remedy=_HOW)
        return cls(file, provider, access["claim"], {value: _caller(value, may) for value, may in values.items()})

    def apply(self) -> None:
        """Have Streamlit take its part from the file.

        Raises:
            InputError: Authlib is missing.
        """
        from streamlit import config
        from streamlit.auth_util import is_authlib_installed

        if not is_authlib_installed():
            raise InputError("To log in takes Authlib.", remedy="pip install 'sensorium[login]'")
        config.set_option("secrets.files", [str(self.file.absolute())])

    def claims(self, cookies: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What the provider said of the person with these cookies; None: nobody has logged in, or too long ago."""
        from streamlit.auth_util import get_cookie_with_chunks
        from streamlit.web.server.server_util import get_cookie_secret
        from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
        from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

        def one(name: str) -> bytes | None:
            return decode_signed_value(get_cookie_secret(), name, cookies.get(name, ""))

        try:
            told = json.loads(get_cookie_with_chunks(one, USER_COOKIE_NAME) or b"null")
        except ValueError:
            return None
        if not isinstance(told, dict) or told.get("is_logged_in") is not True or self.until(told) <= time.time():
            return None
        return told

    def until(self, claims: Mapping[str, Any]) -> float:
        """Until when a login counts, in seconds since 1970: it says when the provider issued it, as OpenID Connect demands."""
        issued = claims.get("iat")
        return issued + LASTING_SECONDS if isinstance(issued, int | float) and not isinstance(issued, bool) else 0.0

    def caller(self, claims: Mapping[str, Any]) -> Caller | None:
        """What somebody with these claims may do; None: nothing."""
        has = _values(claims, self.claim)
        return next((caller for value, caller in self.callers.items() if value in has), None)

    def route(self) -> Route:
        """The address that leads to the provider, as ``st.login`` does."""

        async def begin(_: Request) -> RedirectResponse:
            from streamlit.auth_util import encode_provider_token

            return RedirectResponse(public(f"/auth/login?provider={encode_provider_token(self.provider)}"))

        return Route(LOGIN, begin)


def _table(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    return found if isinstance(found := told.get(name), dict) else {}


def _caller(value: str, may: Any) -> Caller:  # noqa: ANN401 - what a file says
    roles = {str(role): role for role in Role}
    told = may if isinstance(may, dict) else {}
    role, collections = told.get("role"), told.get("collections")
    if not isinstance(role, str) or role not in roles:
        raise UnknownName(f"role of {value!r} in the login file", str(role), roles)
    if collections is None:
        return Caller(roles[role])
    if not isinstance(collections, list) or not all(isinstance(name, str) for name in collections):
        raise InputError(f"The collections of {value!r} in the login file are no list of names.", remedy=_HOW)
    return Caller(roles[role], checked(roles[role], collections))


def _values(claims: Mapping[str, Any], name: str) -> set[str]:
    """The values of a claim; dots lead into claims that hold others, such as ``realm_access.roles``."""
    found: Any = claims
    if name in claims:
        found = claims[name]
    else:
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    return {one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)}
