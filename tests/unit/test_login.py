"""Login: what a file says of the claims of a provider."""

from __future__ import annotations

import time

import pytest

from search.api.identity import Access, Caller
from search.errors import InputError, UnknownName
from search.store import Database
from search.store.tokens import Role, Tokens
from ui.login import LASTING_SECONDS, OpenIdLogin

AUTH = """
[auth]
redirect_uri = "http://localhost:8571/oauth2callback"
cookie_secret = "a secret of more than fourteen bytes"
client_id = "sensorium"
client_secret = "hush"
server_metadata_url = "http://localhost:1/.well-known/openid-configuration"
"""

ACCESS = """
[access]
claim = "groups"
[access.values.keepers]
role = "admin"
[access.values.archive]
role = "ingester"
collections = ["films", "sounds"]
[access.values.guests]
role = "reader"
collections = []
"""


@pytest.fixture
def written(tmp_path):
    def write(text, mode=0o600):
        file = tmp_path / "login.toml"
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


def test_claims_become_a_role_and_collections(written):
    login = OpenIdLogin.read(written(AUTH + ACCESS))
    assert login.provider == "default"
    for claims, caller in (
        ({"groups": ["archive"]}, Caller(Role.INGESTER, ("films", "sounds"))),
        ({"groups": ["guests", "archive"]}, Caller(Role.INGESTER, ("films", "sounds"))),  # the first of the file
        ({"groups": "keepers"}, Caller(Role.ADMIN)),
        ({"groups": ["guests"]}, Caller(Role.READER, ())),
        ({"groups": ["Keepers", "keepers "]}, None),
        ({"groups": []}, None),
        ({"groups": None}, None),
        ({"groups": {"keepers": True}}, None),
        ({"groups": [["keepers"]]}, None),
        ({}, None),
    ):
        assert login.caller(claims) == caller, claims


def test_a_claim_may_lie_in_another(written):
    login = OpenIdLogin.read(written(AUTH + ACCESS.replace('"groups"', '"realm.roles"')))
    assert login.caller({"realm": {"roles": ["keepers"]}}) == Caller(Role.ADMIN)
    assert login.caller({"realm.roles": ["guests"]}) == Caller(Role.READER, ())
    assert login.caller({"realm": ["keepers"]}) is None
    assert login.caller({"realm": "roles"}) is None


def test_a_login_counts_from_when_the_provider_issued_it(written):
    login = OpenIdLogin.read(written(AUTH + ACCESS))
    assert login.until({"iat": 1000}) == 1000 + LASTING_SECONDS
    assert login.until({"iat": "1000"}) == login.until({"iat": True}) == login.until({}) == 0


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (AUTH + ACCESS, 0o644, "Others can read"),
        (AUTH, 0o600, "lacks"),
        (ACCESS, 0o600, "lacks"),
        (AUTH.replace("cookie_secret", "cookie"), 0o600, "lacks"),
        (AUTH.replace("cookie_secret", "cookie") + ACCESS, 0o600, "cookie_secret"),
        (AUTH.replace("client_id", "id") + ACCESS, 0o600, "client_id"),
        (AUTH + ACCESS.replace('"admin"', '"king"'), 0o600, "king"),
        (AUTH + ACCESS.replace("[]", '"films"'), 0o600, "no list"),
        (AUTH + ACCESS.replace('"admin"', '"admin"\ncollections = ["films"]'), 0o600, "admin"),
        ("[auth", 0o600, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_is_told(written, text, mode, said):
    with pytest.raises((InputError, UnknownName), match=said):
        OpenIdLogin.read(written(text, mode))


def test_who_has_logged_in_holds_a_secret_until_then(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'sensorium.db'}")
    database.upgrade()
    access, caller = Access(Tokens(database), tmp_path, local=False), Caller(Role.READER, ("films",))
    secret = access.admit(caller, time.time() + 1_000)
    assert access.caller(secret) == caller
    assert access.caller(access.admit(caller, time.time() - 1)) is None
    access.dismiss(secret)
    assert access.caller(secret) is None
    database.close()
