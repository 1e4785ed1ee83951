"""A closed loop of clients against one URL: `python -m tests.bench.load <kind> <url> <clients> <requests> [options]`.

Kinds: mkdir, upload, move, copy, metadata and delete (against Filestore); floor-mkdir, floor-upload, floor-move, floor-copy
and floor-metadata (against the floor); filer-upload (against SeaweedFS' filer). What a kind needs to exist is made before
the clock starts. Prints one JSON line.
"""

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.bench.figures import Figures, figures

BODY = b"x" * 1024
NEED_FILES = ("move", "copy", "metadata", "delete", "floor-move", "floor-copy", "floor-metadata")


@dataclass
class LoadClient:
    """The requests of one kind."""

    kind: str
    session: aiohttp.ClientSession
    url: str
    mount: str
    body: bytes

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
        form.add_field("file", self.body, filename="f", content_type="application/octet-stream")
        answer = await self.send("POST", "/upload" if floor else "/v1/files", data=form)
        return None if floor else answer["data"]["node"]["id"]

    async def once(self, name: str, node: Any) -> None:
        here: dict[str, Any] = {"path": name} if self.kind.startswith("floor") else self.at(name)
        match self.kind:
            case "mkdir":
                await self.send("POST", "/v1/directories", json=here)
            case "floor-mkdir" | "floor-move" | "floor-copy" | "floor-metadata":
                await self.send("POST", self.kind.replace("floor-", "/"), json=here)
            case "upload" | "floor-upload":
                await self.upload(name)
            case "filer-upload":
                await self.send("PUT", f"/{name}", data=self.body)
            case "move" | "copy":
                await self.send("POST", f"/v1/nodes/{self.kind}", json=here | {"targetPath": f"moved/{name}"})
            case "metadata":
                await self.send(
                    "PATCH", f"/v1/nodes/{node}/metadata", json={"backendMountId": int(self.mount), "set": {"n": 1}}
                )
            case "delete":
                await self.send("DELETE", "/v1/nodes", json=here)
            case other:
                raise SystemExit(f"there is no kind {other}")

    def at(self, name: str) -> dict[str, Any]:
        return {"backendMountId": int(self.mount or 0), "path": name}

    async def prepare(self, names: list[str], below: str) -> list[Any]:
        wanted = [below] if below else []
        if self.kind in ("move", "copy"):
            wanted.append("moved")
        for folder in wanted if self.mount else []:
            async with self.session.post(f"{self.url}/v1/directories", json=self.at(folder)) as answer:
                await answer.read()  # it may be there from an earlier round
        nodes: list[Any] = [None] * len(names)
        if self.kind in NEED_FILES:
            rest = iter(enumerate(names))

            async def some() -> None:
                for number, name in rest:
                    nodes[number] = await self.upload(name)

            await asyncio.gather(*[some() for _ in range(64)])
        return nodes


async def main(given: argparse.Namespace) -> Figures:
    latencies: list[float] = []
    headers = {"Authorization": f"Bearer {given.token}"} if given.token else {}
    connector = aiohttp.TCPConnector(limit=max(64, given.clients))
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        client = LoadClient(given.kind, session, given.url, given.mount, BODY[:1] * given.size)
        before = f"{given.below}/" if given.below else ""
        names = [before + uuid.uuid4().hex for _ in range(given.requests)]
        work: Iterator[tuple[str, Any]] = zip(names, await client.prepare(names, given.below), strict=True)

        async def loop() -> None:
            for name, node in work:
                began = time.perf_counter()
                await client.once(name, node)
                latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*[loop() for _ in range(given.clients)])
        return figures(latencies, time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("url")
    parser.add_argument("clients", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("--mount", default="")
    parser.add_argument("--token", default="")
    parser.add_argument("--size", type=int, default=len(BODY), help="bytes of a file")
    parser.add_argument("--below", default="", help="a directory for the names; it is made")
    print(json.dumps(asyncio.run(main(parser.parse_args()))))
