"""List 1,000 children in pages of 200, over a kept connection: `python -m tests.bench.listing [--rounds 30] [--quick]`.

Beside it, the limit: the same query of the same rows straight from Postgres, as plain columns and without any HTTP.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import psycopg

from tests.bench.running import service, stack


async def fill(url: str, mount: str, token: str, count: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=32)) as session:

        async def one(number: int) -> None:
            form = aiohttp.FormData()
            form.add_field("backendMountId", mount)
            form.add_field("path", f"file-{number:05d}.txt")
            form.add_field("file", b"x" * 100, filename="f")
            async with session.post(f"{url}/v1/files", data=form) as answer:
                assert answer.status == 201, await answer.text()

        await asyncio.gather(*[one(number) for number in range(count)])


async def listed(url: str, mount: str, token: str, rounds: int) -> list[float]:
    """Milliseconds of each round: five pages, one after the other."""
    took: list[float] = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.get(f"{url}/v1/nodes/by-path", params={"backendMountId": mount, "path": ""}) as answer:
            root = (await answer.json())["data"]["id"]
        for _ in range(rounds):
            began = time.perf_counter()
            for offset in range(0, 1000, 200):
                page = {"limit": "200", "offset": str(offset)}
                async with session.get(f"{url}/v1/nodes/{root}/children", params=page) as answer:
                    body = await answer.read()
                    assert answer.status == 200 and len(body) > 100_000, body[:300]
            took.append((time.perf_counter() - began) * 1e3)
    return took


def rows(database: str, mount: str, rounds: int) -> list[float]:
    took: list[float] = []
    with psycopg.connect(database, autocommit=True) as connection:
        query = (
            "SELECT k.* FROM filestore.nodes k JOIN filestore.nodes p ON p.id = k.parent_id"
            " WHERE p.mount_id = %s AND p.depth = 0 ORDER BY k.kind, k.name LIMIT 200 OFFSET %s"
        )
        for _ in range(rounds):
            began = time.perf_counter()
            for offset in range(0, 1000, 200):
                assert len(connection.execute(query, (mount, offset)).fetchall()) == 200
            took.append((time.perf_counter() - began) * 1e3)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works")
    given = parser.parse_args()
    rounds = given.rounds or (3 if given.quick else 30)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as filestore,
    ):
        mount = filestore.local_mount(Path(folder) / "mount")
        url, token = filestore.url, filestore.token
        asyncio.run(fill(url, mount, token, 1000))
        asyncio.run(listed(url, mount, token, 5))
        ours = asyncio.run(listed(url, mount, token, rounds))
        limit = rows(filestore.database, mount, rounds)
    for name, took in (("filestore, 5 pages of 200", ours), ("Postgres alone, same rows", limit)):
        print(f"{name:28s} min {min(took):6.1f} ms  median {statistics.median(took):6.1f} ms")
    print(f"ratio of medians {statistics.median(ours) / statistics.median(limit):.2f}")


if __name__ == "__main__":
    main()
