"""Refusals in the exact forms that existing clients compare or parse: which code comes with which status."""

import pytest

from api.http.errors import status_of
from schema.errors import BY_CODE
from tests.fix_service import Service

STATUSES = {
    400: "INVALID_PATH INVALID_REQUEST INVALID_CHECKSUM NOT_SUPPORTED",
    401: "UNAUTHENTICATED",
    403: "MISSING_SCOPE FORBIDDEN MOUNT_READ_ONLY",
    404: "BACKEND_NOT_FOUND NODE_NOT_FOUND PARENT_NOT_FOUND NOT_FOUND",
    409: "NODE_EXISTS NOT_A_DIRECTORY CHILDREN_EXIST IDEMPOTENCY_CONFLICT EXECUTOR_NOT_FOUND PATH_BUSY",
    410: "CONTENT_EXPIRED",
    412: "VERSION_CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    422: "CHECKSUM_MISMATCH",
    429: "RATE_LIMITED",
    500: "INTERNAL_SERVER_ERROR",
    503: "MOUNT_OFFLINE UNAVAILABLE OUTCOME_UNKNOWN STAGE_LOST",
    507: "STORAGE_FULL",
}
AGAIN = {"PATH_BUSY", "RATE_LIMITED", *STATUSES[503].split()}
"""Those with which a client is told when to come back"""


@pytest.mark.parametrize(
    ("status", "code"), [(status, code) for status, codes in STATUSES.items() for code in codes.split()]
)
def test_a_code_has_the_status_that_clients_know(status: int, code: str) -> None:
    assert status_of(code) == status


@pytest.mark.parametrize("code", sorted(AGAIN))
def test_what_can_pass_says_when_to_come_back(code: str) -> None:
    assert BY_CODE[code].retry_after_seconds


def test_a_refusal_is_json_unless_a_problem_is_asked_for(service: Service) -> None:
    plain = service.call("GET", "/v1/nodes/999999999999")
    assert (plain.status_code, plain.headers["content-type"]) == (404, "application/json")
    assert set(plain.json()) == {"error"} and set(plain.json()["error"]) == {"code", "message", "details"}
    problem = service.call("GET", "/v1/nodes/999999999999", headers={"Accept": "application/problem+json"})
    assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")
    assert problem.json()["code"] == plain.json()["error"]["code"] == "NODE_NOT_FOUND"
