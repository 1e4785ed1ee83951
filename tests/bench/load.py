"""A closed loop of clients against one URL: `python -m tests.bench.load <kind> <url> <clients> <requests> [mount] [token]`.

Kinds: mkdir and upload (against Filestore), floor-mkdir and floor-upload (against the floor). Prints one JSON line.
"""

import asyncio
import json
import sys
import time
import uuid

import aiohttp

BODY = b"x" * 1024


async def main(kind: str, url: str, clients: int, total: int, mount: str = "", token: str = "") -> None:
    latencies: list[float] = []
    numbers = iter(range(total))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients), headers=headers) as session:

        async def one() -> None:
            name = uuid.uuid4().hex
            match kind:
                case "mkdir":
                    request = session.post(f"{url}/v1/directories", json={"backendMountId": int(mount), "path": name})
                case "floor-mkdir":
                    request = session.post(f"{url}/mkdir", json={"path": name})
                case _:
                    form = aiohttp.FormData()
                    if kind == "upload":
                        form.add_field("backendMountId", mount)
                    form.add_field("path", name)
                    form.add_field("file", BODY, filename="f", content_type="application/octet-stream")
                    request = session.post(f"{url}/v1/files" if kind == "upload" else f"{url}/upload", data=form)
            async with request as answer:
                body = await answer.read()
                if answer.status not in (200, 201):
                    raise SystemExit(f"{answer.status}: {body.decode()[:500]}")

        async def client() -> None:
            for _ in numbers:
                began = time.perf_counter()
                await one()
                latencies.append((time.perf_counter() - began) * 1e3)

        began = time.perf_counter()
        await asyncio.gather(*[client() for _ in range(clients)])
        took = time.perf_counter() - began
    latencies.sort()
    figures = {"per_s": total / took, "p50_ms": latencies[total // 2], "p99_ms": latencies[int(total * 0.99)]}
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
