"""The watcher process beside the service: what a hand does has a hint, what commands do has none, and it may be stopped."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.fix_service import MountOfTest, Service, make_mount, until


def row(service: Service, mount: MountOfTest) -> dict[str, Any]:
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], row_factory=dict_row) as connection:
        found = connection.execute("SELECT * FROM filestore.watchers WHERE mount_id = %s", (mount.id,)).fetchone()
        return found or {"phase": "", "hints": 0, "own": 0, "lost": 0}


def places_of_looks(service: Service, mount: MountOfTest) -> set[bytes]:
    """Of looks that have ended."""
    query = (
        "SELECT unnest(places) FROM filestore.looks WHERE mount_id = %s AND reason = 'drift' AND ended_at IS NOT NULL"
    )
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"]) as connection:
        return {bytes(place) for (place,) in connection.execute(query, (mount.id,))}


def rests(service: Service, mount: MountOfTest) -> dict[str, Any]:
    """The row once two of its beats say the same, the second after all that was going on has rested."""
    while True:
        first = row(service, mount)
        time.sleep(3)
        if (second := row(service, mount))["events"] == first["events"]:
            return second


@pytest.fixture
def watched(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    mount = make_mount(service, tmp_path / "mount")
    service.start("watcher", FILESTORE_WATCH="true", FILESTORE_WATCH_QUIET_SECONDS="0.2")
    assert until(lambda: row(service, mount)["phase"] == "watching")
    yield mount
    process = service.processes.get("watcher")
    if process is not None:
        process.send_signal(signal.SIGCONT)
        assert service.stop("watcher") == {"watcher": 0}
    service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})


def test_hands_have_hints_and_commands_have_none(service: Service, watched: MountOfTest) -> None:
    begun = row(service, watched)
    assert begun["hints"] >= 1, "the whole mount, at the start"
    for n in range(3):
        assert service.mkdir(watched, f"d{n}").status_code == 201
        for m in range(10):
            assert service.upload(watched, f"d{n}/f{m}", b"x" * m).status_code == 201
    assert service.upload(watched, "d0/f0", b"again", overwrite="true").status_code in (200, 201)
    assert service.move(watched, "d0/f1", "d1/moved").status_code == 200
    assert service.move(watched, "d1", "d9").status_code == 200
    assert service.delete(watched, "d2/f2").status_code == 200
    after = rests(service, watched)
    assert after["own"] - begun["own"] >= 30
    assert after["hints"] - begun["hints"] <= 2, "of forty commands"

    (watched.root / "d9" / "by hand").write_bytes(b"by hand")
    assert until(lambda: b"d9/by hand" in places_of_looks(service, watched)), "a look is begun at once"

    process = service.processes["watcher"]
    process.send_signal(signal.SIGSTOP)
    folders = [os.open(watched.root / name, os.O_RDONLY) for name in ("d0", "d9")]
    for n in range(17_000):  # more than the kernel keeps, and no two alike in a row
        os.utime(folders[n % 2])
    for folder in folders:
        os.close(folder)
    process.send_signal(signal.SIGCONT)
    assert until(lambda: row(service, watched)["lost"] >= 1)
    assert until(lambda: row(service, watched)["hints"] > after["hints"])

    other = make_mount(service, watched.root.parent / "later")
    assert until(lambda: row(service, other)["phase"] == "watching")
    service.call("PATCH", f"/v1/backend-mounts/{other.id}", json={"state": "inactive"})
    assert until(lambda: row(service, other)["phase"] == "")
    found = row(service, watched)
    assert (found["directories"], found["unwatched"], found["phase"]) == (4, 0, "watching")
