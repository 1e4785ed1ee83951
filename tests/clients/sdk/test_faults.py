"""Servers that are away, slow, cut off or busy: the right result or the right error, and every change once."""

import asyncio
import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filestore_sdk import errors
from filestore_sdk.half_written import is_half_written

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


def test_a_resumable_upload_goes_on_where_it_was(
    shaken: Any, proxy: S3Proxy, mount: MountOfTest, tmp_path: Path
) -> None:
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    cut = proxy.on(Fault("PATCH", times=2, cut_request=3 * 1024 * 1024))
    with open(source, "rb") as opened:
        shaken.upload(mount.key, "large", opened, len(LARGE))
    assert cut.struck == 2 and mount.on_disk() == {"large": LARGE}


def reset(*ends: socket.socket) -> None:
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(
            socket.SHUT_RD
        )  # wakes the thread that reads it: until then the end stays open, and its peer hears nothing
        end.close()


def cut_first(listening: socket.socket, server: tuple[str, int], after: int) -> None:
    """The first connection is reset after so many bytes, the others are carried as they come."""
    first = True
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            upstream = socket.create_connection(server)
            threading.Thread(target=carry, args=(client, upstream, after if first else None), daemon=True).start()
            threading.Thread(target=carry, args=(upstream, client, None), daemon=True).start()
            first = False


def carry(source: socket.socket, target: socket.socket, most: int | None) -> None:
    left = most
    with source, suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece[:left])
            if left is not None and (left := left - len(piece)) <= 0:
                return reset(source, target)
        target.shutdown(socket.SHUT_WR)


def test_content_that_breaks_off_goes_on_as_a_resumable_upload(
    service: Service, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    source, content, told = tmp_path / "large", 3 * LARGE, list[int]()
    source.write_bytes(content)
    host, port = service.url.removeprefix("http://").split(":")
    for manner in ("waits", "async"):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=cut_first, args=(listening, (host, int(port)), 2 << 20), daemon=True).start()
            client = make(manner, f"http://127.0.0.1:{listening.getsockname()[1]}", service.token, loop_of_clients)
            client.put(mount.id, manner, source, progress=lambda have, size: told.append(have))
            client.close()
            listening.shutdown(socket.SHUT_RDWR)
    assert mount.on_disk() == {"waits": content, "async": content}
    assert told.count(len(content)) == 2 and told != sorted(told), "each began once more"
    assert [entry["outcome"] for entry in service.journal(mount)] == ["succeeded"] * 2


def test_a_large_change_whose_answer_is_lost_happens_once(
    shaken: Any, proxy: S3Proxy, service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    lost = proxy.on(Fault("PUT", times=1, cut_answer=-1))
    assert shaken.put(mount.key, "large", source).idempotent
    assert lost.struck == 1 and mount.on_disk() == {"large": LARGE} and len(service.journal(mount)) == 1


class StoppedByHand(BaseException):
    """As Ctrl-C is."""


def test_a_large_download_goes_on_where_it_was(
    shaken: Any, proxy: S3Proxy, service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    service.upload(mount, "large", LARGE)
    target, done = tmp_path / "back", list[int]()

    def interrupt(have: int, _: int) -> None:
        if have > 8 * 1024 * 1024:
            raise StoppedByHand

    with pytest.raises(StoppedByHand):
        shaken.get(mount.key, "large", target, progress=interrupt)
    [half] = [name for name in os.listdir(tmp_path) if is_half_written(name)]
    cut = proxy.on(Fault("GET", "/content", times=2, end_answer=2 * 1024 * 1024))
    shaken.get(mount.key, "large", target, progress=lambda have, size: done.append(have))
    assert cut.struck == 2 and target.read_bytes() == LARGE
    assert done[0] >= 4 * 1024 * 1024 and done[-1] == len(LARGE), "what was there did not come again"
    (tmp_path / half).write_bytes(os.urandom(len(LARGE)))
    shaken.get(mount.key, "large", target)
    assert target.read_bytes() == LARGE, "what was left of another content is found out"
    assert sorted(os.listdir(tmp_path)) == ["back", "mount"], "nothing half written stays"


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
