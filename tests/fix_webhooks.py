"""`target`: a web server on loopback that takes messages of webhooks, or answers as it is told."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class HookMessage:
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class HookTarget:
    """`answers`: what the next requests get, a status or a header of a redirect; then 204. `taken`: what got a 2xx."""

    url: str
    answers: list[int] = field(default_factory=list)
    asked: list[HookMessage] = field(default_factory=list)
    taken: list[HookMessage] = field(default_factory=list)
    location: str = ""

    def paths(self) -> list[str | None]:
        return [message.told["data"].get("path") for message in self.taken]


@pytest.fixture
def target() -> Iterator[HookTarget]:
    guard = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            message = HookMessage({name.lower(): value for name, value in self.headers.items()}, body)
            with guard:
                status = found.answers.pop(0) if found.answers else 204
                found.asked.append(message)
                if 200 <= status < 300:
                    found.taken.append(message)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = HookTarget(f"http://127.0.0.1:{server.server_port}/hook")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()
