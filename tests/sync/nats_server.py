"""A NATS server of our own: killed, wiped and started again at one address."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from activities.sync.nats.accounts import NatsAccounts
from activities.sync.nats.link import NatsLink
from tests.fix_service import free_port
from tests.fix_stack import Stack

PATIENCE = 20.0


class NatsServer:
    def __init__(self, folder: Path, settings: str = "") -> None:
        self._folder, self.port = folder, free_port()
        self._settings = folder / "nats.conf"
        self._settings.write_text(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> "NatsServer":
        program = Path(sys.executable).with_name("nats-server")
        words = [
            "-c",
            str(self._settings),
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-js",
            "-sd",
            str(self._folder / "data"),
        ]
        with open(self._folder / "nats.log", "ab") as log:
            self._process = subprocess.Popen([str(program), *words], stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < end, (self._folder / "nats.log").read_text()[-2000:]
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
                connection.makefile("rb") as lines,
            ):
                return bool(json.loads(lines.readline().partition(b" ")[2]).get("jetstream"))
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """As a server that lost its disk: it is there again, with nothing."""
        self.kill()
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        self.start()


def link_to(stack: Stack) -> NatsLink:
    """To the hot store of a run, as the service itself."""
    accounts = NatsAccounts(stack.env["FILESTORE_NATS_SECRET"].encode())
    return NatsLink(stack.env["NATS_URL"], user=lambda: accounts.service("main"))
