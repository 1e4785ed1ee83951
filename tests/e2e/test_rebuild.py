"""The database is lost: an empty one is made whole again from the archive and a look at the mount, as the runbook says."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fix_s3 import BUCKET, S3Server
from tests.fix_service import PATIENCE, MountOfTest, Service
from tests.fix_stack import REPOSITORY
from workflows.client import connect

ALIKE = ("id", "path", "kind", "state", "version", "sizeBytes", "contentHash", "metadata", "parentId")


def run(service: Service, *command: str, **settings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=REPOSITORY, env={**os.environ, **service.env, **settings},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def nodes(service: Service, mount: MountOfTest) -> dict[str, dict[str, Any]]:
    answer = service.call("GET", "/v1/nodes", params={"backendMountId": mount.id, "limit": 200})
    return {node["path"]: {name: node[name] for name in ALIKE} for node in answer.json()["data"]["nodes"]}


@pytest.fixture(params=["folder", "bucket"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """What a process needs to know of an archive."""
    if request.param == "folder":
        return {"FILESTORE_ARCHIVE_PATH": str(tmp_path / "archive")}
    server: S3Server = request.getfixturevalue("s3_server")
    return {
        "FILESTORE_ARCHIVE_PATH": f"s3://{BUCKET}/{uuid.uuid4().hex[:8]}/journal", "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret, "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_lost_database_comes_back_from_the_archive_and_the_mount(
    service: Service, mount: MountOfTest, archive: dict[str, str]
) -> None:
    for path in ("a", "a/b"):
        service.mkdir(mount, path)
    for path in ("a/f", "a/b/g", "h"):
        assert service.upload(mount, path, path.encode()).status_code == 201
    service.move(mount, "a/b", "c")
    service.copy(mount, "c", "d")
    service.delete(mount, "h")
    wait_for(lambda: len(service.journal(mount, after=0)) >= 8)
    archived_by_the_worker(service, archive)
    run(service, "workers.archive", **archive)
    assert "whole" in run(service, "workers.archive", "--verify", **archive)
    before = nodes(service, mount)
    assert service.upload(mount, "later", b"after the last segment").status_code == 201
    service.kill()
    server, name = service.env["FILESTORE_DATABASE_URL"], f"rebuilt_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    settings = {**archive, "FILESTORE_DATABASE_URL": server.rsplit("/", 1)[0] + "/" + name}
    assert "are there again; 0 versions" in run(service, "workers.rebuild", **settings)
    service.start(**settings)
    try:
        assert nodes(service, mount) == before
        assert service.call("GET", f"/v1/files/{before['a/f']['id']}/content").content == b"a/f"
        # The nodes take the files that lie there as they were, and what came after the last segment is found.
        wait_for(lambda: "later" in nodes(service, mount))
        wait_for(lambda: {job["status"] for job in jobs(service)} == {"succeeded"})
        found = nodes(service, mount)
        assert {path: found[path] for path in before} == before and found.keys() - before == {"later"}
        gone = service.call("GET", "/v1/events", params={"after": 1})
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "CURSOR_EXPIRED")
    finally:
        service.kill()
        service.start()


def archived_by_the_worker(service: Service, archive: dict[str, str]) -> None:
    """The schedule of a worker that knows of the archive has written a segment."""
    service.kill("worker")
    service.start("worker", **archive, FILESTORE_ARCHIVE_SECONDS="1")
    wait_for(lambda: not run(service, "workers.archive", "--verify", **archive).startswith("0 segments"))
    service.kill("worker")
    asyncio.run(without_its_schedule(service))
    service.start("worker")


async def without_its_schedule(service: Service) -> None:
    client = await connect(service.env["TEMPORAL_ADDRESS"], service.env.get("TEMPORAL_NAMESPACE", "default"))
    await client.get_schedule_handle("archive").delete()


def jobs(service: Service) -> list[dict[str, Any]]:
    return list(service.call("GET", "/v1/reconciliation/jobs").json()["data"]["jobs"])


def wait_for(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
