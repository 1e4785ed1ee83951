"""Older versions on the real stack: every one can be read from the moment its successor is answered."""

import itertools
import threading
from typing import Any

import psycopg

from tests.fix_service import MountOfTest, Service, until


def versions(service: Service, node: int) -> list[dict[str, Any]]:
    return list(service.call("GET", f"/v1/nodes/{node}/snapshots").json()["data"]["snapshots"])


def read(service: Service, node: int, version: int) -> tuple[int, bytes]:
    answer = service.call("GET", f"/v1/files/{node}/content", params={"version": version})
    return answer.status_code, answer.content


def test_every_version_can_be_read_at_once_and_for_long(service: Service, mount: MountOfTest) -> None:
    node = service.upload(mount, "f", b"version 1").json()["data"]["node"]["id"]
    for number in range(2, 16):
        answer = service.upload(mount, "f", b"version %d" % number, overwrite="true")
        assert answer.status_code == 200, answer.text
        # The old content is on its way from the stage to the trash right now.
        assert read(service, node, number - 1) == (200, b"version %d" % (number - 1))
    assert service.delete(mount, "f").status_code == 200
    assert service.call("GET", f"/v1/files/{node}/content").status_code == 404
    for number in range(1, 16):
        assert read(service, node, number) == (200, b"version %d" % number)
    listed = versions(service, node)
    assert [one["version"] for one in listed] == list(range(16, 0, -1))
    assert [one["contentAvailable"] for one in listed] == [False] + [True] * 15
    entries = {entry["id"]: entry["commandId"] for entry in service.journal(mount)}
    assert all(entries[one["journalEntryId"]] == one["commandId"] for one in listed)
    for newer, older in itertools.pairwise(listed):
        assert newer["validFrom"] == older["validTo"]


def test_a_reader_waits_until_the_old_content_has_arrived(service: Service, mount: MountOfTest) -> None:
    """`finish` comes late: meanwhile the old content lies under its stage, and the record knows its place in the trash."""
    node = service.upload(mount, "f", b"old").json()["data"]["node"]["id"]
    service.restart(fault="commit.committed=sleep:0.6")
    assert service.upload(mount, "f", b"new", overwrite="true").status_code == 200
    assert not [file for file in (mount.root / ".filestore/trash").rglob("*") if file.is_file()]
    assert read(service, node, 1) == (200, b"old")
    service.restart()


def test_readers_never_see_a_mixture_while_a_file_is_replaced(service: Service, mount: MountOfTest) -> None:
    sizes = {version: 200_000 + version for version in range(1, 21)}
    node = service.upload(mount, "f", b"a" * sizes[1]).json()["data"]["node"]["id"]
    seen: list[tuple[int, str]] = []
    wrong: list[object] = []
    over = threading.Event()

    def reads() -> None:
        with service.client() as client:
            while not over.is_set():
                answer = client.get(f"/v1/files/{node}/content")
                letters = set(answer.content)
                version = len(answer.content) - 200_000
                if answer.status_code != 200 or letters != {96 + version}:
                    wrong.append((answer.status_code, len(answer.content), letters))
                seen.append((version, answer.headers.get("etag", "")))

    readers = [threading.Thread(target=reads) for _ in range(4)]
    for reader in readers:
        reader.start()
    for version in range(2, 21):
        content = bytes([96 + version]) * sizes[version]
        assert service.upload(mount, "f", content, overwrite="true").status_code == 200
    over.set()
    for reader in readers:
        reader.join()
    assert not wrong and len(seen) > 20
    assert len({etag for _, etag in seen}) == len({version for version, _ in seen}), "each content has one tag"


def test_a_download_reaches_the_event_feed(service: Service, mount: MountOfTest) -> None:
    node = service.upload(mount, "f", b"x").json()["data"]["node"]["id"]
    for _ in range(3):
        assert service.call("GET", f"/v1/files/{node}/content").content == b"x"

    def positions() -> list[Any]:
        with psycopg.connect(service.env["FILESTORE_DATABASE_URL"]) as connection:
            return connection.execute(
                "SELECT position FROM filestore.outbox WHERE mount_id = %s AND type = 'filestore.node.downloaded'",
                [mount.id],
            ).fetchall()

    assert until(lambda: len(positions()) == 3 and all(position for (position,) in positions()))
    assert len(service.journal(mount)) == 1, "a download is no command"
