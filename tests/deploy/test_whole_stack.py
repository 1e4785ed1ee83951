"""All of the stack, with the application: what its status says, and where its mounts point after a restart."""

import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.demonstration.client import DemoClient
from tests.deploy.stacks import dev, eventually, pids, ran_dev, sourced

PATIENCE_S = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("dev") / "whole"
    dev("up", "--background", "--dir", str(folder))
    yield folder
    dev("stop", "--dir", str(folder), check=False)


def client_of(folder: Path) -> DemoClient:
    variables = sourced(folder)
    return DemoClient(variables["FILESTORE_URL"], variables["FILESTORE_TOKEN"])


def status(folder: Path) -> tuple[int, dict[str, str]]:
    """The exit code, and what is said of each part and mount."""
    ran = ran_dev("status", "--dir", str(folder))
    lines = [line.split(maxsplit=2) for line in ran.stdout.splitlines()]
    return ran.returncode, {
        line[2].split()[-1] if line[0] == "mount" else line[0]: " ".join(line[1:]) for line in lines
    }


def is_well(folder: Path) -> bool:
    return status(folder)[0] == 0


def says(folder: Path, *words: str) -> bool:
    """The status fails and has a line with all of these."""
    ran = ran_dev("status", "--dir", str(folder))
    return ran.returncode == 1 and any(all(word in line for word in words) for line in ran.stdout.splitlines())


class Stranger:
    """Listens on a port that was ours, and keeps all that arrives there."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.received: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def close(self) -> None:
        self._socket.close()


@contextmanager
def stranger_on(port: int) -> Iterator[Stranger]:
    stranger = Stranger(port)
    try:
        yield stranger
    finally:
        stranger.close()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def put(folder: Path, mount_key: str, path: str, source: Path) -> bytes:
    """A file through the service, and its content as it comes out again."""
    with closing(client_of(folder)) as client:
        answer: dict[str, Any] = client.upload(client.mount_id(mount_key), path, source)
        return client.content(answer["node"]["id"])


def test_all_parts_and_both_mounts_are_well(home: Path) -> None:
    # The mounts of the file are compared with their storage after the API says that it is there.
    parts = {"postgres", "redis", "nats", "s3", "temporal", "worker", "api", "demo-local", "demo-s3"}
    eventually(lambda: parts <= status(home)[1].keys(), PATIENCE_S)
    eventually(lambda: is_well(home), PATIENCE_S)
    assert oct((home / "env").stat().st_mode & 0o777) == "0o600"


def test_an_offline_mount_is_named_and_the_exit_code_is_1(home: Path) -> None:
    mount = home / "data" / "mounts" / "demo-local"
    away = mount.rename(mount.with_name("away"))
    try:
        eventually(lambda: says(home, "mount", "DOWN", "demo-local"), PATIENCE_S)
    finally:
        away.rename(mount)
    eventually(lambda: is_well(home), PATIENCE_S)


@pytest.mark.parametrize("name", ["worker", "api"])
def test_a_stopped_process_is_named_and_the_exit_code_is_1(home: Path, name: str) -> None:
    pid = pids(home)[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: says(home, name, "DOWN: is stopped"), PATIENCE_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: is_well(home), PATIENCE_S)


def test_a_dead_worker_is_named_while_nobody_starts_it_again(home: Path) -> None:
    supervisor = pids(home)["supervisor"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(pids(home)["worker"], signal.SIGKILL)
        eventually(lambda: says(home, "worker", "DOWN: has ended"), PATIENCE_S)
        assert says(home, "supervisor", "is stopped")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    eventually(lambda: is_well(home), PATIENCE_S)


def test_after_a_restart_on_another_port_the_bucket_mount_works_and_nothing_is_sent_to_the_stranger(
    home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"before")
    assert put(home, "demo-s3", "before", source) == b"before"
    old = port_of(sourced(home)["AWS_ENDPOINT_URL"])
    dev("stop", "--dir", str(home))

    with stranger_on(old) as stranger:
        dev("up", "--background", "--dir", str(home))
        assert port_of(sourced(home)["AWS_ENDPOINT_URL"]) != old
        eventually(lambda: is_well(home), PATIENCE_S)
        source.write_bytes(b"after")
        assert put(home, "demo-s3", "after", source) == b"after"
        with closing(client_of(home)) as client:
            node = client.node(client.mount_id("demo-s3"), "before")
            assert client.content(node["id"]) == b"before"
        dev("stop", "--dir", str(home))
        assert stranger.received == []
        # It does keep what arrives:
        urllib.request.urlopen(f"http://127.0.0.1:{old}/probe", timeout=5).close()
        assert stranger.received[0].startswith(b"GET /probe")
    dev("up", "--background", "--dir", str(home))
