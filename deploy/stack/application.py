"""Filestore itself: its environment, the migration, the worker and the API."""

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from deploy.stack.folder import REPOSITORY, Folder
from deploy.stack.http_get import http_get
from deploy.stack.part import Part, StartFailed
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.s3 import BUCKET
from deploy.stack.whole_file import write_whole

# Running work is finished or left resumable within this time.
DRAIN_S = 20
MOUNT_KEYS = ("demo-local", "demo-s3")
# A person's own AWS settings that would win over the stack's.
FOREIGN_AWS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3")


def new_token() -> str:
    return f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def variables(remembered: Remembered) -> dict[str, str]:
    """What the application adds to the stack's env file."""
    return {
        "FILESTORE_URL": f"http://127.0.0.1:{remembered.port('api', 8080)}",
        "FILESTORE_WORKER_URL": f"http://127.0.0.1:{remembered.port('worker', 8081)}",
        "FILESTORE_CONSUMERS_URL": f"http://127.0.0.1:{remembered.port('consumers', 8082)}",
        "FILESTORE_TOKEN": remembered.secret("token", new_token),
    }


def environment(folder: Folder, stack: Mapping[str, str]) -> dict[str, str]:
    """What the migration, the worker and the API run with: the stack's variables and the service's own settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN_AWS}
    settings = {
        "FILESTORE_HOST": "127.0.0.1",
        "FILESTORE_PORT": stack["FILESTORE_URL"].rpartition(":")[2],
        "FILESTORE_WORKER_PORT": stack["FILESTORE_WORKER_URL"].rpartition(":")[2],
        "FILESTORE_CONSUMERS_PORT": stack["FILESTORE_CONSUMERS_URL"].rpartition(":")[2],
        "FILESTORE_TIMESTORE_PATH": str(folder.data("timestore")),
        "FILESTORE_BACKENDS_PATH": str(folder.backends),
        "FILESTORE_SPOOL_PATH": str(folder.data("spool")),
        "FILESTORE_SECRETS_KEYS_PATH": str(folder.data("secrets.keys")),
        # What is tried out by hand: folders of the stack, and temporary ones; the S3 server of the stack.
        "FILESTORE_LOCAL_ROOTS": f"{folder.local_mount.parent}:{tempfile.gettempdir()}:{Path.home()}",
        "FILESTORE_ENDPOINTS_ALLOWED": "127.0.0.1,::1",
        "FILESTORE_BOOTSTRAP_TOKEN": stack["FILESTORE_TOKEN"],
        "FILESTORE_TEMPORAL_UI_URL": stack.get("TEMPORAL_UI_URL", ""),
        "PYTHONUNBUFFERED": "1",
    }
    return inherited | dict(stack) | settings


def write_backends(folder: Folder, stack: Mapping[str, str]) -> None:
    """The two demo mounts. The S3 one's keys come from the environment, not from this file."""
    folder.local_mount.mkdir(parents=True, exist_ok=True)
    local = {
        "mountKey": MOUNT_KEYS[0],
        "backendKind": "local",
        "rootPath": str(folder.local_mount),
        "displayName": "Demo: a local folder",
    }
    s3 = {
        "mountKey": MOUNT_KEYS[1],
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
    url = environment["FILESTORE_WORKER_URL"]
    process = _python("worker", "workers.worker", folder, environment)
    return Part(
        "worker", "Workflows and activities", url, {}, check=partial(check_worker, environment), process=process
    )


def api(folder: Folder, environment: Mapping[str, str]) -> Part:
    url = environment["FILESTORE_URL"]
    process = _python("api", "workers.api", folder, environment)
    return Part("api", "HTTP API", url, {}, check=partial(check_api, environment), process=process)


def watcher(folder: Folder, environment: Mapping[str, str]) -> Part:
    """After the API, which says whether it was heard of."""
    process = _python("watcher", "workers.watcher", folder, environment)
    address = str(folder.local_mount)
    return Part("watcher", "Changes on disk", address, {}, check=partial(check_watcher, environment), process=process)


def check_watcher(variables: Mapping[str, str]) -> None:
    """Raises ConnectionError where the API has not heard of it."""
    if (said := readiness(variables["FILESTORE_URL"])["checks"].get("watcher")) not in ("ok", "off"):
        raise ConnectionError(str(said))


def consumers(folder: Folder, environment: Mapping[str, str]) -> Part:
    """After the API, which is of use without them."""
    url = environment["FILESTORE_CONSUMERS_URL"]
    process = _python("consumers", "workers.consumers", folder, environment)
    return Part(
        "consumers", "Metastore and Timestore", url, {}, check=partial(check_consumers, environment), process=process
    )


def check_consumers(variables: Mapping[str, str]) -> None:
    """Raises ConnectionError where one of them stands still."""
    http_get(f"{variables['FILESTORE_CONSUMERS_URL']}/ready")


def check_api(variables: Mapping[str, str]) -> None:
    """It can do its work, knows our token, and has registered mounts: at its first start the latter take a moment."""
    url = variables["FILESTORE_URL"]
    http_get(f"{url}/ready")
    listed = http_get(f"{url}/v1/backend-mounts", {"authorization": f"Bearer {variables['FILESTORE_TOKEN']}"})
    if not json.loads(listed)["data"]["mounts"]:
        raise ConnectionError("the demo mounts are not registered yet")


def readiness(url: str) -> dict[str, Any]:
    """What a process of ours says of itself and of all that it depends on."""
    answer: dict[str, Any] = json.loads(http_get(f"{url}/ready", accepted=(200, 503)))
    return answer


def check_parts(variables: Mapping[str, str]) -> None:
    """Raises ConnectionError where the API misses something. Its mounts and the worker have lines of their own."""
    _complain(variables["FILESTORE_URL"], besides=("mounts", "outbox", "worker", "watcher"))


def check_worker(variables: Mapping[str, str]) -> None:
    """Raises ConnectionError where the worker misses something."""
    _complain(variables["FILESTORE_WORKER_URL"], besides=("mounts", "outbox", "worker", "watcher"))


def mounts_amiss(variables: Mapping[str, str]) -> dict[str, str]:
    """Of the mounts in the configuration, those that the API or the worker can not use yet, and why."""
    amiss: dict[str, str] = {}
    for url in (variables["FILESTORE_URL"], variables["FILESTORE_WORKER_URL"]):
        mounts = readiness(url)["checks"].get("mounts") or {}
        amiss |= {key: why for key in MOUNT_KEYS if (why := mounts.get(key, "It is not registered yet.")) != "ok"}
    return amiss


def _complain(url: str, besides: Collection[str]) -> None:
    checks = readiness(url)["checks"]
    if amiss := [said for name, said in checks.items() if name not in besides and said not in ("ok", "inline")]:
        raise ConnectionError(" ".join(map(str, amiss)))


def migration_failed(code: int, lines: list[str]) -> StartFailed:
    return StartFailed("\n    ".join([f"the database could not be migrated (exit {code}):", *lines]))


def _python(name: str, module: str, folder: Folder, environment: Mapping[str, str]) -> Process:
    argv = (sys.executable, "-m", module)
    return Process(name, argv, cwd=REPOSITORY, log=folder.log(name), env=environment, grace_s=DRAIN_S)
