"""All of the stack, with the application: what its status says, and where its mounts point after a restart."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from deploy.demonstration.client import DemoClient
from tests.deploy.stacks import REPOSITORY, dev, eventually, pids, ran_dev, sourced

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
    parts = {
        "postgres",
        "redis",
        "nats",
        "s3",
        "temporal",
        "worker",
        "api",
        "watcher",
        "consumers",
        "demo-local",
        "demo-s3",
    }
    log = (home / "logs" / "supervisor.log").read_text()
    assert "demo-local, demo-s3" in log.partition("Filestore is ready.")[0], (
        "the mounts are compared before it says ready"
    )
    eventually(lambda: parts <= status(home)[1].keys(), PATIENCE_S)
    eventually(lambda: is_well(home), PATIENCE_S)
    assert oct((home / "env").stat().st_mode & 0o777) == "0o600"


def test_the_check_runs_with_the_settings_of_the_service(home: Path) -> None:
    eventually(lambda: is_well(home), PATIENCE_S)
    ran = ran_dev("check", "--dir", str(home), "--", "--sweep", "--level", "content")
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (
        0, ["Nothing is wrong: journal, nodes, rollups and storage agree."]
    ), ran.stdout + ran.stderr  # fmt: skip
    wrong = ran_dev("check", "--dir", str(home), "--", "--mount", "no-such-mount")
    assert wrong.returncode == 2 and "no-such-mount" in wrong.stderr


def test_the_demo_says_what_it_leaves_out_and_keeps_a_folders_only_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "only").write_bytes(b"one")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "link").symlink_to("only")
    ran = ran_dev("demo", "--dir", str(home), str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Left out: 1 hidden files, 1 symbolic links" in ran.stdout
    made = [path.name for path in (home / "data" / "mounts" / "demo-local").glob("demo-*/*")]
    assert made == ["only"]


def test_the_demo_ends_cleanly_on_ctrl_c(home: Path, tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"f{number}").write_bytes(b"x")
    argv = [sys.executable, "-u", str(REPOSITORY / "deploy" / "dev.py"), "demo", "--dir", str(home), str(tmp_path)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "at a time" in line:
            break
    os.killpg(running.pid, signal.SIGINT)
    rest, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130 and "The demo was stopped." in rest and "Traceback" not in rest, rest


def inner_ports(home: Path) -> dict[str, int]:
    ports: dict[str, int] = json.loads((home / "remembered.json").read_text())["ports"]
    return {name: port for name, port in ports.items() if name.startswith("s3_")}


def test_the_servers_are_closed_to_other_users_of_the_machine(home: Path) -> None:
    variables = sourced(home)
    bare = variables["REDIS_URL"].rpartition("@")[2]
    with redis.Redis.from_url(f"redis://{bare}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis.from_url(variables["REDIS_URL"]) as ours:
        assert ours.ping()
    nats = urlsplit(variables["NATS_URL"])
    with socket.create_connection((nats.hostname, nats.port or 0), timeout=10) as connection:
        connection.sendall(b'CONNECT {"verbose": true}\r\nPING\r\n')
        assert b"Authorization Violation" in _all_of(connection)
    password = urlsplit(variables["REDIS_URL"]).password or ""
    for pid in pids(home).values():
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert password.encode() not in words and variables["FILESTORE_NATS_SECRET"].encode() not in words


def _all_of(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(4096):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("path", ["/dir/assign", "/dir/status", "/buckets/filestore-demo/?limit=5", "/1,0123456789"])
def test_the_inner_ports_of_the_s3_server_tell_nothing(home: Path, path: str) -> None:
    for name, port in inner_ports(home).items():
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            client.request("GET", path)
            assert client.getresponse().status in (401, 404), name
        except (http.client.HTTPException, ConnectionError):
            assert name.endswith("_grpc"), "only a port that wants TLS says nothing"
        finally:
            client.close()


def test_the_inner_ports_of_the_s3_server_want_a_certificate_of_ours(home: Path) -> None:
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
    anonymous.set_alpn_protocols(["h2"])
    for name in ("s3_master_grpc", "s3_volume_grpc", "s3_filer_grpc", "s3_s3_grpc"):
        with (
            socket.create_connection(("127.0.0.1", inner_ports(home)[name]), timeout=10) as plain,
            pytest.raises(OSError),
            anonymous.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
            if not connection.recv(100):
                raise ConnectionResetError(name)
            connection.recv(100)


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
    """The last one here: it leaves the stack stopped."""
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
