"""The journal of a running service is sealed by itself, and a change of it is found by the route and by the command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from tests.fix_service import MountOfTest, Service, until
from tests.fix_stack import REPOSITORY


def proof(service: Service) -> dict[str, Any]:
    answer = service.call("GET", "/v1/audit/verify")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def verify(service: Service) -> tuple[int, list[dict[str, Any]]]:
    ran = subprocess.run(
        [sys.executable, "-m", "workers.audit", "verify"],
        cwd=REPOSITORY,
        env=service.env,
        capture_output=True,
        text=True,
    )
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_happens_is_sealed_and_a_change_is_found(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "a").status_code == 201
    entry = service.journal(mount)[0]["id"]

    def covered() -> bool:
        found = proof(service)
        return bool(found["ok"] and found["entries"] and found["unsealed"] == 0)

    assert until(covered), proof(service)
    assert Path(service.env["FILESTORE_AUDIT_COPIES"]).exists() and proof(service)["copies"]
    change = "UPDATE filestore.journal_entries SET principal = %s WHERE id = %s"
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as intruder:
        intruder.execute("SET session_replication_role = replica")
        [(name,)] = intruder.execute(
            "SELECT principal FROM filestore.journal_entries WHERE id = %s", [entry]
        ).fetchall()
        intruder.execute(change, ["eve", entry])
        try:
            code, lines = verify(service)
            assert code == 1 and (lines[0]["kind"], lines[0]["entry"]) == ("changedEntry", entry)
            [finding] = proof(service)["findings"]
            assert (finding["kind"], finding["entry"]) == ("changedEntry", entry) and "principal" not in finding[
                "message"
            ]
        finally:
            intruder.execute(change, [name, entry])
    assert proof(service)["ok"]
