"""Every call while its server is busy, slow, killed, or its line is cut: the right result or the right error, never a half."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filestore_sdk import errors

from tests.clients.sdk.conftest import make
from tests.fix_s3_proxy import Fault, S3Proxy
from tests.fix_service import MountOfTest, Service

LARGE = os.urandom(40 * 1024 * 1024 + 11)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


def steps(client: Any, mount: MountOfTest, folder: Path) -> list[tuple[Callable[[], Any], Any]]:
    """Calls in an order in which each can be made, and what each of them gives."""
    m, made = mount.key, {"command": "createDirectory", "backendMountId": mount.id, "path": "e"}

    def got() -> bytes:
        client.get(m, "d/f", folder / "got")
        return (folder / "got").read_bytes()

    return [
        (lambda: client.mkdir(m, "d").node.path, "d"),
        (lambda: client.makedirs(m, "d/x/y"), None),
        (lambda: client.put(m, "d/f", b"content", metadata={"k": 1}).node.path, "d/f"),
        (lambda: client.read(m, "d/f"), b"content"),
        (lambda: client.read(m, "d/f", start=3, end=5), b"te"),
        (lambda: b"".join(client.stream(m, "d/f")), b"content"),
        (lambda: client.ranges(client.stat(m, "d/f"), [(0, 1), (6, 9)]), [b"c", b"t"]),
        (got, b"content"),
        (lambda: client.stat(m, "d/f").metadata, {"k": 1}),
        (lambda: client.describe(m, "d/f", set={"k": 2}).node.version, 2),
        (lambda: client.copy(m, "d/f", "d/g").node.path, "d/g"),
        (lambda: client.move(m, "d/g", "d/h").node.path, "d/h"),
        (lambda: [one.name for one in client.children(m, "d")], ["x", "f", "h"]),
        (lambda: sorted(one.path for one in client.walk(m)), ["d", "d/f", "d/h", "d/x", "d/x/y"]),
        (lambda: sorted(one.path for one in client.tree(m)), ["d", "d/f", "d/h", "d/x", "d/x/y"]),
        (lambda: [one.path for one in client.search(m, "h", kinds=["file"])], ["d/h"]),
        (lambda: [one.version for one in client.versions(m, "d/f")], [2, 1]),
        (lambda: client.delete(m, "d/h").command_id != "", True),
        (lambda: client.exists(m, "d/h"), False),
        (lambda: client.restore(m, "d/h").node.path, "d/h"),
        (lambda: [one.error for one in client.batch([made])], [None]),
        (lambda: [entry.command for entry in client.journal(m)][::-1][-2:], ["restoreNode", "createDirectory"]),
        (lambda: m in [one.mount_key for one in client.mounts.list()], True),
    ]


def settled(act: Callable[[], Any]) -> Any:
    """A body that is cut is an error of its own, and nothing else: the call is made again then."""
    try:
        return act()
    except errors.Incomplete:
        return act()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fault", [{"status": 503}, {"cut_answer": -1}, {"cut_answer": 1}, {"end_answer": 2}], ids=str)
def test_every_call_ends_right_behind_a_line_that_fails(
    shaken: Any, proxy: S3Proxy, service: Service, mount: MountOfTest, tmp_path: Path, fault: dict[str, int]
) -> None:
    struck = 0
    for act, right in steps(shaken, mount, tmp_path):
        faults = [proxy.on(Fault(method, **fault)) for method in METHODS]  # type: ignore[arg-type]
        assert settled(act) == right
        struck += sum(one.struck for one in faults)
        proxy.calm()
    assert struck >= len(steps(shaken, mount, tmp_path)), "each of them met it"
    assert mount.on_disk() == {
        "d": None, "d/f": b"content", "d/h": b"content", "d/x": None, "d/x/y": None, "e": None,
    }  # fmt: skip
    assert {entry["outcome"] for entry in service.journal(mount)} == {"succeeded"}


def test_a_server_that_is_slow_is_given_up_and_asked_again(
    service: Service, proxy: S3Proxy, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop
) -> None:
    client = make("waits", proxy.endpoint, service.token, loop_of_clients, timeout=2.0, retries=3)
    slow = [proxy.on(Fault(method, hang_seconds=2.5)) for method in ("PUT", "GET")]
    assert client.put(mount.id, "f", b"1").node.path == "f"
    assert client.read(mount.id, "f") == b"1"
    assert [one.struck for one in slow] == [1, 1] and len(service.journal(mount)) == 1
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["waits", "async"])
def test_a_server_that_is_killed_while_content_travels_is_waited_for(
    service: Service, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop, tmp_path: Path, manner: str
) -> None:
    client = make(manner, service.url, service.token, loop_of_clients, retries=30)
    source, target, starts = tmp_path / "large", tmp_path / "back", list[threading.Thread]()
    source.write_bytes(LARGE)

    def kill_once(done: int, _: int) -> None:
        if done > 12 * 1024 * 1024 and not starts:
            service.kill("api")
            starts.append(threading.Thread(target=service.start, args=("api",)))
            starts[0].start()

    client.put(mount.id, "large", source, progress=kill_once)
    starts.pop().join()
    assert mount.on_disk() == {"large": LARGE}
    client.get(mount.id, "large", target, progress=kill_once)
    starts.pop().join()
    assert target.read_bytes() == LARGE and sorted(os.listdir(tmp_path)) == ["back", "large", "mount"]
    client.close()
