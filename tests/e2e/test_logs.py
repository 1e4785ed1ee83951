"""What the processes write down: a line per start, request and command, with ids; as JSON every line is JSON."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.e2e.test_outages import paused
from tests.fix_service import MountOfTest, Service, until
from tests.fix_stack import REPOSITORY


@pytest.fixture
def in_json(running_service: Service) -> Iterator[Service]:
    """Both processes write JSON, from a new page on."""
    service = running_service
    service.kill()
    for name in ("api", "worker"):
        (service.folder / f"{name}.log").write_bytes(b"")
    service.start(FILESTORE_LOG_FORMAT="json")
    yield service
    service.restart()


def lines(service: Service, name: str) -> list[dict[str, Any]]:
    """Every line of a process. One that is no JSON fails the test."""
    whole = service.log(name).rpartition("\n")[0]
    found = [json.loads(line) for line in whole.splitlines()]
    assert all(isinstance(line, dict) and {"event", "level", "timestamp"} <= line.keys() for line in found)
    return found


def test_a_command_can_be_followed_by_its_ids(in_json: Service, mount: MountOfTest) -> None:
    service = in_json
    made = service.call(
        "POST", "/v1/directories?a=secret", headers={"X-Request-Id": "ticket-4711"},
        json={"backendMountId": mount.id, "path": "d"},
    ).json()["data"]  # fmt: skip
    refused = service.mkdir(mount, "missing/e").json()["error"]["details"]["commandId"]

    def of(event: str) -> list[dict[str, Any]]:
        return [line for line in lines(service, "api") if line["event"] == event]

    assert until(lambda: any(line["request_id"] == "ticket-4711" for line in of("request")))
    [request] = [line for line in of("request") if line["request_id"] == "ticket-4711"]
    assert (request["method"], request["path"], request["status"]) == ("POST", "/v1/directories", 201)
    [command] = [line for line in of("command") if line["request_id"] == "ticket-4711"]
    assert command["command_id"] == made["commandId"] and command["outcome"] == "succeeded" and command["path"] == "d"
    [failure] = [line for line in of("command") if line["command_id"] == refused]
    assert (failure["outcome"], failure["code"]) == ("failed", "PARENT_NOT_FOUND")
    [start] = of("started")
    assert start["pid"] == service.processes["api"].pid and start["port"] == service.port
    assert "secret" not in service.log("api") and service.token not in service.log("api")
    assert until(lambda: any(line["event"] == "started" for line in lines(service, "worker")))


def test_every_line_is_json_when_things_go_wrong(in_json: Service, mount: MountOfTest) -> None:
    service = in_json
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"this is no HTTP\r\n\r\n")
        connection.recv(1000)
    with paused(service, "temporal"):
        assert service.mkdir(mount, "d", key=f"log-{mount.id}").status_code == 503
    assert until(lambda: service.mkdir(mount, "d", key=f"log-{mount.id}").status_code in (200, 201))

    def core_complains() -> bool:
        """Temporal's client complains after some tries: its server dies until it does."""
        with suppress(AssertionError, ProcessLookupError):  # dead this moment
            service.stack.kill("temporal")
        return any("temporal.core" in line.get("logger", "") for line in lines(service, "worker"))

    assert until(core_complains)
    assert until(lambda: service.call("GET", "/ready").json()["checks"]["temporal"] == "ok")
    assert service.stop() == {"api": 0, "worker": 0}
    events = {line["event"] for name in ("api", "worker") for line in lines(service, name)}
    assert {"started", "stopped", "command", "Temporal answers again"} <= events


DEFECT = """
import threading, warnings, logging
from workers.process import logs
logs.configure("json")
warnings.warn("old ways")
logging.getLogger("a.library").error("two\\nlines", extra={"id": 7})
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("\\udc80 is half a character")
"""


def test_warnings_and_tracebacks_are_json_too() -> None:
    ended = subprocess.run([sys.executable, "-c", DEFECT], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stdout == ""
    warning, library, thread, process = [json.loads(line) for line in ended.stderr.splitlines()]
    assert "old ways" in warning["event"] and warning["level"] == "warning"
    assert (library["event"], library["id"], library["logger"]) == ("two\nlines", 7, "a.library")
    assert "ZeroDivisionError" in thread["exception"] and "half a character" in process["exception"]


@pytest.mark.parametrize("module", ["workers.api", "workers.worker", "workers.check", "schema.migrate"])
def test_a_setting_that_can_not_be_used_is_said_in_json(module: str) -> None:
    env = {**os.environ, "FILESTORE_LOG_FORMAT": "json", "FILESTORE_PORT": "many"}
    ended = subprocess.run(
        [sys.executable, "-m", module], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2 and ended.stdout == ""
    [line] = [json.loads(line) for line in ended.stderr.splitlines()]
    assert line["setting"] == "port" and "integer" in line["cause"]
