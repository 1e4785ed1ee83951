"""What a node asks the service: over HTTP alone, so that rights are checked in one place."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from schema.sync.changes import PathChange

SMALL_MAX = 256 * 1024
PACK_BYTES = 8 << 20
_WAIT_SECONDS = 20.0
AGAIN_FIRST_SECONDS, AGAIN_MAX_SECONDS = 0.2, 10.0
"""Between two tries of what the service did not answer"""


class ServiceSilent(Exception):
    """The service does not answer, or not now: what was to be done is done later."""


class ServiceRefuses(Exception):
    """`code` is the service's own."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.details = code, details


class ServiceLink:
    def __init__(self, url: str, token: str, project: str, node: str) -> None:
        timeout = httpx2.Timeout(60.0, connect=5.0)
        self._http = httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=timeout)
        self._bare = httpx2.AsyncClient(timeout=timeout)
        """Without the token: a link of the bucket says itself what it is for"""
        self._base, self.node = f"{url.rstrip('/')}/v1/projects/{project}", node

    async def project(self) -> dict[str, Any]:
        return await self._json("GET", "")

    async def attach(self, host: str, folder: str) -> None:
        await self._json("POST", "/nodes", json={"name": self.node, "host": host, "folder": folder})

    async def beat(self, revision: int, waiting: int, problem: str | None) -> dict[str, Any]:
        told = {"revision": revision, "waiting": waiting, "problem": problem}
        return await self._json("PATCH", f"/nodes/{self.node}", json=told)

    async def changes(self, since: str, *, wait: bool) -> dict[str, Any]:
        """`contents`: those of few small files, each what its name says."""
        query = {"since": since, "limit": "5000", "wait": str(_WAIT_SECONDS if wait else 0), "contents": "true"}
        page = await self._json("GET", "/changes", params=query)
        came = {sha: base64.b64decode(content) for sha, content in page["contents"].items()}
        return page | {"contents": {sha: one for sha, one in came.items() if hashlib.sha256(one).hexdigest() == sha}}

    async def needed(self, shas: Iterable[str]) -> list[str]:
        wanted, found = list(shas), list[str]()
        for start in range(0, len(wanted), 5000):
            answer = await self._json("POST", "/intent", json={"shas": wanted[start : start + 5000]})
            found += answer["needed"]
        return found

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        body = b"".join(bytes.fromhex(sha) + len(one).to_bytes(8, "big") + one for sha, one in contents.items())
        await self._json("POST", "/objects", content=body)

    async def put(self, sha: str, size: int, pieces: Iterable[bytes]) -> None:
        await self._json("PUT", f"/objects/{sha}", content=_body(pieces), headers={"content-length": str(size)})

    async def put_cold(self, sha: str, size: int, pieces: Iterable[bytes]) -> bool:
        """Straight into the bucket, by a link for this content alone. False: it has to go through the service."""
        try:
            link = await self._json("POST", f"/objects/{sha}/presign", json={"sizeBytes": size})
        except ServiceRefuses as refused:
            if refused.code in ("NOT_SUPPORTED", "PAYLOAD_TOO_LARGE"):
                return False
            raise
        if link["needed"]:
            try:
                answer = await self._bare.request(
                    link["method"], link["url"], content=_body(pieces), headers=link["headers"]
                )
            except httpx2.HTTPError:
                return False  # this server does not reach the bucket
            if answer.status_code >= 300:
                return False
            await self._json("POST", f"/objects/{sha}/complete", json={"sizeBytes": size, "ticket": link["ticket"]})
        return True

    async def commit(self, batch: str, changes: Sequence[PathChange], *, known: bool = False) -> dict[str, Any]:
        """`known`: only what became of it, where it arrived before. Raises ServiceRefuses NOT_FOUND where it did not."""
        body: dict[str, Any] = {"batch": batch, "node": self.node, "changes": [_shown(change) for change in changes]}
        if known:
            body["known"] = True
        return await self._json("POST", "/commits", json=body)

    async def fetch(self, shas: Sequence[str]) -> dict[str, bytes]:
        """Small contents: those that there are and that fit. Each is what its name says."""
        answer = await self._send("POST", "/fetch", json={"shas": list(shas)})
        return dict(_unpacked(answer.content))

    @asynccontextmanager
    async def stream(self, sha: str) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with self._http.stream("GET", f"{self._base}/objects/{sha}") as answer:
                if answer.status_code != 200:
                    raise ServiceSilent(f"{answer.status_code} for {sha}")
                yield answer.aiter_bytes(1 << 20)
        except httpx2.HTTPError as error:
            raise ServiceSilent(repr(error)) from error

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self._send(method, path, **options)
        found: dict[str, Any] = _document(answer)["data"]
        return found

    async def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = await self._http.request(method, self._base + path, **options)
        except httpx2.HTTPError as error:
            raise ServiceSilent(repr(error)) from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise ServiceSilent(f"{answer.status_code} {answer.text[:200]}")
        if answer.status_code >= 400:
            refused = _document(answer)["error"]
            raise ServiceRefuses(refused["code"], refused["message"], refused.get("details") or {})
        return answer

    async def close(self) -> None:
        await self._http.aclose()
        await self._bare.aclose()


def _document(answer: httpx2.Response) -> dict[str, Any]:
    """What is no answer of the service (of a proxy, or cut off) is as good as none."""
    try:
        document = answer.json()
    except ValueError as error:
        raise ServiceSilent(f"{answer.status_code} {answer.text[:200]}") from error
    if not isinstance(document, dict) or not document.keys() & {"data", "error"}:
        raise ServiceSilent(f"{answer.status_code} {answer.text[:200]}")
    return document


async def _body(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _shown(change: PathChange) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": change.kind.value, "pathB64": _b64(change.path), "mode": change.mode}
    if change.source is not None:
        shown["sourcePathB64"] = _b64(change.source)
    if change.sha:
        shown |= {"sha": change.sha, "sizeBytes": change.size}
    return shown | {"baseSha": change.base or None}


def _b64(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def path_in(row: Mapping[str, Any], field: str = "path") -> bytes:
    exact = row.get(f"{field}B64")
    return base64.b64decode(exact) if exact is not None else str(row[field]).encode()


def _unpacked(body: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at + 40 <= len(body):
        sha, size = body[at : at + 32].hex(), int.from_bytes(body[at + 32 : at + 40], "big")
        content = body[at + 40 : at + 40 + size]
        at += 40 + size
        if hashlib.sha256(content).hexdigest() == sha:
            yield sha, content
