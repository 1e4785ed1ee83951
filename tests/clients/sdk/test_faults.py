"""Servers that are away, slow, cut off or busy: the right result or the right error, and every change once."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from filestore_sdk import errors

from tests.clients.sdk.conftest import make
from tests.fix_s3_proxy import Fault, S3Proxy
from tests.fix_service import MountOfTest, Service, free_port

LARGE = os.urandom(12 * 1024 * 1024 + 3)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault",
    [
        {"cut_request": 10}, {"cut_answer": -1}, {"cut_answer": 20}, {"status": 503}, {"status": 502}, {"status": 429},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_happens_once_however_its_connection_ends(
    shaken: Any, proxy: S3Proxy, service: Service, mount: MountOfTest, fault: dict[str, int]
) -> None:
    struck = proxy.on(Fault("PUT", times=2, **fault))  # type: ignore[arg-type]
    assert shaken.put(mount.key, "f", b"content").node.path == "f"
    struck_too = proxy.on(Fault("POST", times=1, **fault))  # type: ignore[arg-type]
    shaken.mkdir(mount.key, "d")
    assert (struck.struck, struck_too.struck) == (2, 1)
    assert mount.on_disk() == {"f": b"content", "d": None}
    assert [entry["outcome"] for entry in service.journal(mount)] == ["succeeded"] * 2


def test_an_answer_that_never_comes_is_an_unknown_outcome_and_can_be_asked_for(
    service: Service, proxy: S3Proxy, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop
) -> None:
    client = make("waits", proxy.endpoint, service.token, loop_of_clients, retries=1)
    proxy.on(Fault("POST", times=2, cut_answer=-1))
    with pytest.raises(errors.OutcomeUnknown) as unknown:
        client.mkdir(mount.id, "d")
    assert unknown.value.next_step
    outcome = client.again(unknown.value)
    assert outcome.idempotent and outcome.node.path == "d"
    client.close()


def test_reads_go_on_and_halves_are_refused(shaken: Any, proxy: S3Proxy, mount: MountOfTest, tmp_path: Path) -> None:
    shaken.put(mount.key, "f", b"0123456789")
    proxy.on(Fault("GET", "/v1/nodes", times=2, cut_answer=5))
    assert shaken.stat(mount.key, "f").size_bytes == 10
    proxy.on(Fault("GET", "/content", times=1, end_answer=4))
    with pytest.raises(errors.Incomplete):
        shaken.read(mount.key, "f")
    target = tmp_path / "f"
    proxy.on(Fault("GET", "/content", times=1, end_answer=4))
    with pytest.raises(errors.Incomplete):
        shaken.get(mount.key, "f", target)
    assert sorted(os.listdir(tmp_path)) == ["mount"], "no half is left"
    shaken.get(mount.key, "f", target)
    assert target.read_bytes() == b"0123456789"


def test_a_large_upload_goes_on_where_it_was(shaken: Any, proxy: S3Proxy, mount: MountOfTest, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    cut = proxy.on(Fault("PATCH", times=2, cut_request=3 * 1024 * 1024))
    shaken.put(mount.key, "large", source)
    assert cut.struck == 2 and mount.on_disk() == {"large": LARGE}


def test_a_stream_of_events_that_breaks_goes_on(shaken: Any, proxy: S3Proxy, mount: MountOfTest) -> None:
    proxy.on(Fault("GET", "/v1/events/stream", times=99, status=404))
    shaken.put(mount.key, "f", b"1")
    found = shaken.events(after=0, mount=mount.key, types=["filestore.node.created"])
    assert next(found).data["path"] == "f", "pulled, where streams do not come through"
    found.close()


def test_a_server_that_is_killed_in_between_is_waited_for(
    service: Service, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop
) -> None:
    client = make("waits", service.url, service.token, loop_of_clients, retries=30)
    service.kill("api")
    again = threading.Thread(target=service.start, args=("api",))
    again.start()
    assert client.mkdir(mount.id, "d").node.path == "d"
    again.join()
    client.close()


def test_nobody_there_is_said_in_plain_words(loop_of_clients: asyncio.AbstractEventLoop) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    client = make("waits", url, "fst_none", loop_of_clients, retries=0)
    with pytest.raises(errors.Unreachable) as away:
        client.mkdir(1, "d")
    assert url in str(away.value) and "filestore doctor" in away.value.next_step
    client.close()
