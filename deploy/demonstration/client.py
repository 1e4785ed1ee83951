"""The few requests of the demo, over plain HTTP: what any client in any language would send."""

import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

CHUNK_BYTES = 256 * 1024
# A client that keeps its idempotency key may ask again as often as it likes: the command is done once.
TRIES = 6

Answer = dict[str, Any]
# Called once per try, because a body can be sent only once.
Body = Callable[[], Iterator[bytes]]


class DemoRefused(Exception):
    """The service said no, in its own words."""


class DemoUnreadable(Exception):
    """A file of the input could not be read: no fault of the service."""


class DemoClient:
    """Speaks for one token; every thread that uses it has a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._host = url.removeprefix("http://").rstrip("/")
        self._token = token
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._stopped = False

    def mount_id(self, key: str) -> int:
        mounts = self._get("/v1/backend-mounts?limit=100")["mounts"]
        for mount in mounts:
            if mount["mountKey"] == key:
                return int(mount["id"])
        raise DemoRefused(f"there is no mount called {key}")

    def make_directory(self, mount: int, path: str) -> Answer:
        return self._send_json("POST", "/v1/directories", mount, path)

    def delete(self, mount: int, path: str) -> Answer:
        return self._send_json("DELETE", "/v1/nodes", mount, path)

    def upload(self, mount: int, path: str, source: Path) -> Answer:
        boundary = uuid.uuid4().hex
        fields = {"backendMountId": str(mount), "path": path, "idempotencyKey": str(uuid.uuid4())}
        head = "".join(_part(boundary, f'name="{name}"', value) for name, value in fields.items())
        head += _part(boundary, f'name="file"; filename="{quote(source.name)}"', "", "application/octet-stream")
        before, after = head.removesuffix("\r\n").encode(), f"\r\n--{boundary}--\r\n".encode()
        size = source.stat().st_size
        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(before) + size + len(after)),
        }
        return self._request("POST", "/v1/files", headers, lambda: _file_between(before, source, size, after))

    def content(self, node: int) -> bytes:
        connection = self._connection()
        connection.request("GET", f"/v1/files/{node}/content", headers={"authorization": f"Bearer {self._token}"})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise DemoRefused(f"GET /v1/files/{node}/content: {response.status} {content[:200]!r}")
        return content

    def node(self, mount: int, path: str) -> Answer:
        return self._get("/v1/nodes/by-path?" + urlencode({"backendMountId": mount, "path": path}))

    def children(self, node: int) -> list[Answer]:
        listed: list[Answer] = self._get(f"/v1/nodes/{node}/children?limit=200")["children"]
        return listed

    def journal(self, mount: int, limit: int) -> list[Answer]:
        query = urlencode({"backendMountId": mount, "limit": limit})
        entries: list[Answer] = self._get(f"/v1/journal?{query}")["entries"]
        return entries

    def _get(self, path: str) -> Answer:
        return self._request("GET", path, {}, lambda: iter(()))

    def _send_json(self, method: str, route: str, mount: int, path: str) -> Answer:
        body = json.dumps({"backendMountId": mount, "path": path, "idempotencyKey": str(uuid.uuid4())}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        return self._request(method, route, headers, lambda: iter([body]))

    def _request(self, method: str, path: str, headers: dict[str, str], body: Body) -> Answer:
        """Asks again when the service is busy, restarting, or closed an idle connection; all else is final."""
        for left in reversed(range(TRIES)):
            try:
                status, retry_after, answer = self._exchange(method, path, headers, body)
            except DemoUnreadable:
                self.close()  # half of a body is on its way there
                raise
            except (http.client.HTTPException, OSError):
                self.close()
                if not left or self._stopped:
                    raise
                time.sleep(0.3 * (TRIES - 1 - left))  # at once the first time
                continue
            if status < 300:
                data: Answer = answer["data"]
                return data
            if status not in (429, 503) or not left:
                raise DemoRefused(f"{method} {path}: {status} {_words(answer)}")
            time.sleep(retry_after)
        raise AssertionError("unreachable")

    def _exchange(self, method: str, path: str, headers: dict[str, str], body: Body) -> tuple[int, float, Answer]:
        connection = self._connection()
        connection.request(method, path, body(), {"authorization": f"Bearer {self._token}", **headers})
        response = connection.getresponse()
        content = response.read()
        try:
            answer = json.loads(content)
        except ValueError:
            raise DemoRefused(f"{method} {path}: {response.status} without JSON: {content[:200]!r}") from None
        return response.status, float(response.headers.get("retry-after", 1)), answer

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._host, timeout=330)
            self._connections.append(self._own.connection)
        connection: http.client.HTTPConnection = self._own.connection
        return connection

    def stop(self) -> None:
        """From another thread: what is under way ends with an error, and nothing is asked for again."""
        self._stopped = True
        for connection in self._connections:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The calling thread's connection; the next request opens it again."""
        self._connection().close()


def _part(boundary: str, disposition: str, value: str, kind: str = "text/plain; charset=utf-8") -> str:
    return f"--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\ncontent-type: {kind}\r\n\r\n{value}\r\n"


def _file_between(before: bytes, source: Path, size: int, after: bytes) -> Iterator[bytes]:
    """Exactly `size` bytes of the file: the length of the whole was announced. Raises DemoUnreadable."""
    yield before
    yield from _content(source, size)
    yield after


def _content(source: Path, size: int) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while size:
                if not (chunk := file.read(min(CHUNK_BYTES, size))):
                    raise DemoUnreadable(f"{source}: it became shorter while it was read")
                size -= len(chunk)
                yield chunk
    except OSError as error:
        raise DemoUnreadable(f"{source}: {error.strerror}") from None


def _words(answer: Answer) -> str:
    error = answer.get("error") or {}
    return f"{error.get('code', '?')}: {error.get('message', '')}"
