"""Filestore itself: its environment, the migration, the worker and the API."""

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import yaml

from deploy.stack.folder import REPOSITORY, Folder
from deploy.stack.http_get import http_get
from deploy.stack.part import Part, StartFailed
from deploy.stack.pids_file import read_pids
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.s3 import BUCKET
from deploy.stack.whole_file import write_whole
from workflows.queues import CONTROL_QUEUE

# Running work is finished or left resumable within this time.
DRAIN_S = 20
# A worker's poll waits a minute at the server for work; one that lives polls again then.
WORKER_SILENT_MAX_S = 100
# A person's own AWS settings that would win over the stack's.
FOREIGN_AWS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3")


def new_token() -> str:
    return f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def variables(remembered: Remembered) -> dict[str, str]:
    """What the application adds to the stack's env file."""
    port = remembered.port("api", 8080)
    return {
        "FILESTORE_URL": f"http://127.0.0.1:{port}",
        "FILESTORE_TOKEN": remembered.secret("token", new_token),
    }


def environment(folder: Folder, stack: Mapping[str, str]) -> dict[str, str]:
    """What the migration, the worker and the API run with: the stack's variables and the service's own settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN_AWS}
    settings = {
        "FILESTORE_HOST": "127.0.0.1",
        "FILESTORE_PORT": stack["FILESTORE_URL"].rpartition(":")[2],
        "FILESTORE_BACKENDS_PATH": str(folder.backends),
        "FILESTORE_SPOOL_PATH": str(folder.data("spool")),
        "FILESTORE_BOOTSTRAP_TOKEN": stack["FILESTORE_TOKEN"],
        "FILESTORE_TEMPORAL_UI_URL": stack.get("TEMPORAL_UI_URL", ""),
        "PYTHONUNBUFFERED": "1",
    }
    return inherited | dict(stack) | settings


def write_backends(folder: Folder, stack: Mapping[str, str]) -> None:
    """The two demo mounts. The S3 one's keys come from the environment, not from this file."""
    folder.local_mount.mkdir(parents=True, exist_ok=True)
    local = {
        "mountKey": "demo-local",
        "backendKind": "local",
        "rootPath": str(folder.local_mount),
        "displayName": "Demo: a local folder",
    }
    s3 = {
        "mountKey": "demo-s3",
        "backendKind": "s3",
        "bucket": BUCKET,
        "prefix": "demo",
        "displayName": "Demo: an S3 bucket",
        "config": {"endpoint": stack["AWS_ENDPOINT_URL"], "region": stack["AWS_REGION"], "forcePathStyle": True},
    }
    write_whole(folder.backends, yaml.safe_dump({"mounts": [local, s3]}, sort_keys=False))


def migration(folder: Folder, environment: Mapping[str, str]) -> Process:
    return _python("migrate", "schema.migrate", folder, environment)


def worker(folder: Folder, environment: Mapping[str, str]) -> Part:
    process = _python("worker", "workers.worker", folder, environment)
    check = partial(check_worker, folder, environment)
    return Part("worker", "Workflows and activities", f"queue {CONTROL_QUEUE}", {}, check=check, process=process)


def api(folder: Folder, environment: Mapping[str, str]) -> Part:
    url = environment["FILESTORE_URL"]
    process = _python("api", "workers.api", folder, environment)
    return Part("api", "HTTP API", url, {}, check=partial(check_api, environment), process=process)


def check_api(variables: Mapping[str, str]) -> None:
    """It can do its work, knows our token, and has registered mounts: at its first start the latter take a moment."""
    url = variables["FILESTORE_URL"]
    http_get(f"{url}/ready")
    listed = http_get(f"{url}/v1/backend-mounts", {"authorization": f"Bearer {variables['FILESTORE_TOKEN']}"})
    if not json.loads(listed)["data"]["mounts"]:
        raise ConnectionError("the demo mounts are not registered yet")


def readiness(variables: Mapping[str, str]) -> dict[str, Any]:
    """What the API says of itself and of all that it depends on."""
    answer: dict[str, Any] = json.loads(http_get(f"{variables['FILESTORE_URL']}/ready"))
    return answer


def check_parts(variables: Mapping[str, str]) -> None:
    """Raises ConnectionError where the API misses something; of its mounts it is asked one by one."""
    amiss = {
        name: state
        for name, state in readiness(variables)["checks"].items()
        if isinstance(state, str) and state not in ("ok", "inline")
    }
    if amiss:
        raise ConnectionError("; ".join(f"{name}: {state}" for name, state in amiss.items()))


def check_worker(folder: Folder, variables: Mapping[str, str]) -> None:
    """It has no port of its own: Temporal is asked whether this very process polls its queue."""
    if "TEMPORAL_UI_URL" not in variables:  # somebody else's server without a UI: being alive has to do
        return
    queue = f"/api/v1/namespaces/default/task-queues/{CONTROL_QUEUE}?taskQueueType=TASK_QUEUE_TYPE_WORKFLOW"
    pollers = json.loads(http_get(variables["TEMPORAL_UI_URL"] + queue)).get("pollers", [])
    pid = read_pids(folder.pids).get("worker")
    # Temporal remembers pollers for minutes, a killed one too.
    polls = [poller for poller in pollers if poller["identity"].startswith(f"{pid}@")]
    if not polls:
        raise ConnectionError(f"the worker does not poll its queue {CONTROL_QUEUE} yet")
    silent = min(_seconds_since(poller["lastAccessTime"]) for poller in polls)
    if silent > WORKER_SILENT_MAX_S:
        raise ConnectionError(f"the worker has not polled its queue {CONTROL_QUEUE} for {silent:.0f} s")


def _seconds_since(at: str) -> float:
    """The server's own clock is this machine's. Its fraction has more digits than Python reads."""
    return time.time() - datetime.fromisoformat(at[:19] + "+00:00").timestamp()


def migration_failed(code: int, lines: list[str]) -> StartFailed:
    return StartFailed("\n    ".join([f"the database could not be migrated (exit {code}):", *lines]))


def _python(name: str, module: str, folder: Folder, environment: Mapping[str, str]) -> Process:
    argv = (sys.executable, "-m", module)
    return Process(name, argv, cwd=REPOSITORY, log=folder.log(name), env=environment, grace_s=DRAIN_S)
