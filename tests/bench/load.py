"""A closed loop of clients against one URL: `python -m tests.bench.load <kind> <url> <clients> <requests> [mount] [token]`.

Kinds: mkdir, upload, move, copy, metadata and delete (against Filestore); floor-mkdir, floor-upload and floor-move (against
the floor). What a kind needs to exist is made before the clock starts. Prints one JSON line.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp

BODY = b"x" * 1024
NEED_FILES = ("move", "copy", "metadata", "delete", "floor-move")


class Client:
    """The requests of one kind."""

    def __init__(self, kind: str, session: aiohttp.ClientSession, url: str, mount: str) -> None:
        self.kind, self.session, self.url, self.mount = kind, session, url, mount

    async def send(self, method: str, path: str, **options: Any) -> Any:
        async with self.session.request(method, self.url + path, **options) as answer:
            body = await answer.read()
            if answer.status not in (200, 201):
                raise SystemExit(f"{answer.status}: {body.decode()[:500]}")
            return json.loads(body)

    async def upload(self, name: str) -> Any:
        floor = self.kind.startswith("floor")
        form = aiohttp.FormData()
        if not floor:
            form.add_field("backendMountId", self.mount)
        form.add_field("path", name)
        form.add_field("file", BODY, filename="f", content_type="application/octet-stream")
        answer = await self.send("POST", "/upload" if floor else "/v1/files", data=form)
        return None if floor else answer["data"]["node"]["id"]

    async def once(self, name: str, node: Any) -> None:
        here: dict[str, Any] = {"path": name} if self.kind.startswith("floor") else self.at(name)
        match self.kind:
            case "mkdir":
                await self.send("POST", "/v1/directories", json=here)
            case "floor-mkdir":
                await self.send("POST", "/mkdir", json=here)
            case "upload" | "floor-upload":
                await self.upload(name)
            case "move":
                await self.send("POST", "/v1/nodes/move", json=here | {"targetPath": f"moved/{name}"})
            case "floor-move":
                await self.send("POST", "/move", json=here)
            case "copy":
                await self.send("POST", "/v1/nodes/copy", json=here | {"targetPath": f"moved/{name}"})
            case "metadata":
                await self.send(
                    "PATCH", f"/v1/nodes/{node}/metadata", json={"backendMountId": int(self.mount), "set": {"n": 1}}
                )
            case "delete":
                await self.send("DELETE", "/v1/nodes", json=here)
            case other:
                raise SystemExit(f"there is no kind {other}")

    def at(self, name: str) -> dict[str, Any]:
        return {"backendMountId": int(self.mount), "path": name}

    async def prepare(self, names: list[str]) -> list[Any]:
        if self.kind not in NEED_FILES:
            return [None] * len(names)
        if self.kind in ("move", "copy"):
            async with self.session.post(f"{self.url}/v1/directories", json=self.at("moved")) as answer:
                await answer.read()  # there from an earlier round
        nodes: list[Any] = [None] * len(names)
        rest = iter(enumerate(names))

        async def some() -> None:
            for number, name in rest:
                nodes[number] = await self.upload(name)

        await asyncio.gather(*[some() for _ in range(64)])
        return nodes


async def main(kind: str, url: str, clients: int, total: int, mount: str = "", token: str = "") -> None:
    latencies: list[float] = []
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max(64, clients)), headers=headers
    ) as session:
        client = Client(kind, session, url, mount)
        names = [uuid.uuid4().hex for _ in range(total)]
        work: Iterator[tuple[str, Any]] = zip(names, await client.prepare(names), strict=True)

        async def loop() -> None:
            for name, node in work:
                began = time.perf_counter()
                await client.once(name, node)
                latencies.append((time.perf_counter() - began) * 1e3)

        began = time.perf_counter()
        await asyncio.gather(*[loop() for _ in range(clients)])
        took = time.perf_counter() - began
    latencies.sort()
    figures = {"per_s": total / took, "p50_ms": latencies[total // 2], "p99_ms": latencies[int(total * 0.99)]}
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
