"""The API against its own description: whatever may be sent, and much that may not, is answered and never fails, and nobody gets more than their role.

``SENSORIUM_SCHEMA_CASES`` says how many cases there are for each role, and for who has no token.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import _caches
from sqlalchemy import func, select

from search.api.app import create_app
from search.api.identity import ROLES, Access
from search.api.schemas import BASE
from search.api.service import Service
from search.store import Database
from search.store import tables as t
from search.store.tokens import Role, Tokens
from tests.fakes.encoder import FakeEncoder
from tests.waiting import LONG

CASES = int(os.environ.get("SENSORIUM_SCHEMA_CASES", "200"))
REFUSED = {400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 416, 421, 422, 507}
WRITES = {
    Role.READER: (),
    Role.INGESTER: (t.job, t.judgement, t.casefile, t.exhibit, t.saved, t.field),
}
"""What a role may add rows to, besides uploads, which lie in files."""


@pytest.fixture
def guarded(still):
    """A service over the same archive that asks for tokens, and a token for each role; schemathesis ends it after the test."""
    service = Service(still.settings, load=lambda _: FakeEncoder(), runner=lambda *_: None, patience=LONG)
    tokens = Tokens(service.database)
    secrets = {role: tokens.add(f"the {role}", role, days=1)[1] for role in Role}
    yield create_app(service, Access(tokens, still.settings.home, local=False)), secrets
    for role in Role:
        tokens.revoke(f"the {role}")
    service.close()


@pytest.fixture(scope="module")
def operations(still):
    """The operations that the API describes, each with what makes cases of it: once for all roles, since it takes half a gigabyte each time."""
    schema = schemathesis.openapi.from_dict(still.get("/v1/openapi.json").json())
    schema.config.generation.update(modes=list(GenerationMode))
    found = [one.ok() for one in schema.get_all_operations()]
    yield [(operation, operation.as_strategy()) for operation in found]
    _caches.clear_all()


def rows(home) -> dict[str, int]:
    """How many rows each table holds."""
    with closing(Database(home.database)) as database, database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in t.metadata.sorted_tables
        }


@pytest.mark.timeout(900 + CASES)
@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: str(role or "nobody"))
def test_no_case_is_a_server_error_or_answered_beyond_the_role(still, guarded, operations, role):
    app, secrets = guarded
    headers = {"Host": "localhost"}
    share = CASES // len(operations) + 1
    own = headers | ({"Authorization": f"Bearer {secrets[role]}"} if role else {})
    asked: Counter[int] = Counter()
    allowed: Counter[int] = Counter()
    inside = os.fsencode(still.settings.home.parent)
    before = rows(still.settings)

    def check(operation, cases):
        needed = ROLES[operation.method.upper(), BASE + operation.path]

        @given(case=cases)
        @settings(max_examples=share, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def one(case):
            if isinstance(case.path_parameters.get("id"), int):
                case.path_parameters["id"] %= 16  # most of these are there: 404 alone would prove little
            if not str(case.path_parameters.get("kind", "x")).strip("."):
                case.path_parameters["kind"] = "x"  # clients make another address of . and ..
            if role is None and case.headers:
                case.headers = {
                    name: value for name, value in case.headers.items() if name.lower() not in ("authorization", "cookie")
                }
            response = case.call(headers=own, timeout=LONG)  # schemathesis would wait for ten seconds
            asked[response.status_code] += 1
            allowed[response.status_code] += needed is None or (role is not None and role >= needed)
            case.validate_response(response, checks=[not_a_server_error])
            assert inside not in response.content, "a path of the server"
            if needed is not None and case.method.upper() == operation.method.upper():
                if role is None:
                    assert response.status_code in (400, 401, 421), response.text
                elif role < needed:
                    assert response.status_code in (400, 403, 421), response.text
                else:
                    assert response.status_code != 401, response.text
                    assert response.status_code != 403 or not response.json()["type"].endswith("/role"), response.text
            if response.status_code >= 400:
                assert response.status_code in REFUSED, response.text
                assert response.headers["content-type"] == ["application/problem+json"], response.text
                assert response.json()["remedy"]

        one()

    for operation, cases in operations:
        operation.schema.app = operation.app = app
        check(operation, cases)
    assert len(operations) >= 20
    assert role is None or allowed[200] > allowed.total() // 5
    changed = {name for name, count in rows(still.settings).items() if count != before[name]}
    assert changed <= {table.name for table in WRITES[min(role or Role.READER, Role.INGESTER)]}
    print(f"{asked.total()} requests by {role or 'nobody'}: {dict(sorted(asked.items()))}; 0 server errors, 0 beyond the role")


def test_every_operation_is_described(still):
    described = still.get("/v1/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert "default" in operation["responses"], (method, path)
