"""The API against its own description: whatever may be sent, and much that may not, is answered and never fails.

``SENSORIUM_SCHEMA_CASES`` says how many cases there are in all.
"""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode

CASES = int(os.environ.get("SENSORIUM_SCHEMA_CASES", "2000"))
REFUSED = {400, 403, 404, 405, 406, 409, 410, 413, 415, 416, 421, 422, 507}


def test_no_case_is_a_server_error(still):
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", still.app, headers={"Host": "localhost"})
    schema.config.generation.update(modes=list(GenerationMode))
    operations = [found.ok() for found in schema.get_all_operations()]
    share = CASES // len(operations) + 1
    asked: dict[int, int] = {}

    def check(operation):
        @given(case=operation.as_strategy())
        @settings(max_examples=share, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def one(case):
            if isinstance(case.path_parameters.get("id"), int):
                case.path_parameters["id"] %= 16  # most of these are there: 404 alone would prove little
            if not str(case.path_parameters.get("kind", "x")).strip("."):
                case.path_parameters["kind"] = "x"  # clients make another address of . and ..
            response = case.call(headers={"Host": "localhost"})
            asked[response.status_code] = asked.get(response.status_code, 0) + 1
            case.validate_response(response, checks=[not_a_server_error])
            if response.status_code >= 400:
                assert response.status_code in REFUSED, response.text
                assert response.headers["content-type"] == ["application/problem+json"], response.text
                assert response.json()["remedy"]

        one()

    for operation in operations:
        check(operation)
    assert len(operations) >= 20
    assert asked[200] > CASES // 5


def test_every_operation_is_described(still):
    described = still.get("/v1/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert "default" in operation["responses"], (method, path)
