"""What deciding costs: of a request with 1,000 grants, of a listing of 200, and of commands that have to fit into quotas.

    python -m tests.bench.access [--server URL] [--rounds N] [--reads]

On a Postgres where databases may be made; without one, on one of its own. Requests go through the application in this
process, without sockets; commands through `begin` and `commit`, without a disk: so what is measured is the largest part of a
request that it can ever be. The runs go in turns, and their ratios are shown: minimum and median of the rounds.
"""

import argparse
import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import structlog

from schema.access.decision import may
from schema.access.quotas import Limit, QuotaScope
from schema.access.rules import Grant
from schema.commands.verdicts import Go
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import quotas, tokens
from schema.store.pool import Pool, make_pool
from schema.store.quotas import NewQuota
from tests.api.conftest import FrontOfTest
from tests.bench.running import database
from tests.fix_stack import Stack, dev
from tests.store.helpers import TOKEN_OF_COMMANDS, Protocol, make_mount, mkdir, upload

GRANTS, CHILDREN, WRITERS, LIST = 1000, 200, 64, 16
Run = Callable[[], Awaitable[float]]


@contextmanager
def postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        dev("up", "--background", "--dir", folder, "--only", "postgres")
        try:
            yield Stack(Path(folder)).env["FILESTORE_DATABASE_URL"]
        finally:
            dev("stop", "--dir", folder)


async def in_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            seconds = await run()
            if number:  # the first round warms up
                taken[name].append(seconds)
    return taken


def show(title: str, taken: Mapping[str, list[float]], unit: float, digits: str) -> None:
    base = next(iter(taken.values()))
    print(f"\n{title}")
    for name, seconds in taken.items():
        ratios = [one / of for one, of in zip(seconds, base, strict=True)]
        print(
            f"  {name:32} min {min(seconds) * unit:{digits}} median {statistics.median(seconds) * unit:{digits}}"
            f"   ratio min {min(ratios):.3f} median {statistics.median(ratios):.3f}"
        )


async def reads(front: FrontOfTest, mount: MountId, directory: int, rounds: int) -> None:
    grants = [Grant(f"p{n}/q", ("allow", "deny")[n % 2], mount=mount) for n in range(GRANTS - 1)]
    plain = await front.token("read", principal="ann")
    many = await front.token("read", principal="ann", grants=[Grant("", mount=mount), *grants])
    here = [Grant(f"d/x{n}", ("allow", "deny")[n % 2], mount=mount) for n in range(GRANTS - 1)]
    about = await front.token("read", principal="ann", grants=[Grant("", mount=mount), *here])
    async with front.client(plain) as one, front.client(many) as other, front.client(about) as near:

        def of(client: object, path: str, times: int) -> Run:
            async def run() -> float:
                began = time.perf_counter()
                for _ in range(times):
                    answer = await client.get(path)  # type: ignore[attr-defined]
                    assert answer.status_code == 200, answer.text
                return (time.perf_counter() - began) / times

            return run

        for title, path, times in (
            ("a node by its id, ms", f"/v1/nodes/{directory}", 50),
            (f"a listing of {CHILDREN}, ms", f"/v1/nodes/{directory}/children?limit={CHILDREN}", 20),
        ):
            runs = {
                "no grants": of(one, path, times), f"{GRANTS} grants": of(other, path, times),
                f"{GRANTS} grants, about what it holds": of(near, path, times),
            }  # fmt: skip
            show(title, await in_turns(runs, rounds), 1e3, "8.3f")
    async with front.pool.connection() as connection:
        found = await tokens.find(connection, tokens.digest(many))
    assert found is not None
    place = NodePath(b"p500/q/r/s")
    began = time.perf_counter()
    for _ in range(1000):
        may(found.access, "read", mount, place)
    print(f"\nthe decision alone, {GRANTS} grants: {(time.perf_counter() - began) * 1e3:.2f} us")


async def writes(pool: Pool, rounds: int) -> None:
    async def commands(tenant: str) -> float:
        async with pool.connection() as connection, connection.transaction():
            mount = await make_mount(connection, tenant=tenant)
        protocol = Protocol(pool)
        one: dict[str, Any] = {"tenant": tenant, "principal": "ann"}
        await protocol.run(mount, mkdir(mount, "d", **one))
        if tenant != "free":
            scopes = [QuotaScope(mount), QuotaScope(mount, NodePath(b"d"))]
            scopes += [QuotaScope(), QuotaScope(principal="ann")] if tenant == "all" else []
            for scope in scopes:
                new = NewQuota(
                    tenant=tenant,
                    scope=scope,
                    most=Limit(bytes=10**15),
                    soft=Limit(),
                    trash=False,
                    operators=False,
                    by="x",
                )
                async with pool.connection() as connection:
                    await quotas.create(connection, new)
        lists = [[upload(mount, f"d/{w}-{n}", **one) for n in range(LIST)] for w in range(WRITERS)]
        began = time.perf_counter()
        for made in lists:  # a mount begins one list at a time, whatever its writers
            verdicts = await protocol.run(mount, *made)
            assert all(isinstance(verdict, Go) for verdict in verdicts.values()), verdicts
        return (time.perf_counter() - began) / (WRITERS * LIST)

    async def bare() -> float:
        async with pool.connection() as connection:
            await _triggers(connection, "DISABLE")
        try:
            return await commands("free")
        finally:
            async with pool.connection() as connection:
                await _triggers(connection, "ENABLE")

    def fresh(tenant: str) -> Run:
        """Its quotas of all mounts are those of earlier rounds, too: they go first."""

        async def run() -> float:
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM filestore.quotas")
            return await commands(tenant)

        return run

    runs = {
        "nothing counted for quotas": bare, "no quota": fresh("free"), "of the mount, and a subtree": fresh("two"),
        "and of the tenant, a principal": fresh("all"),
    }  # fmt: skip
    show(f"a command of a list of {LIST}, without its disk, ms", await in_turns(runs, rounds), 1e3, "8.4f")


async def _triggers(connection: psycopg.AsyncConnection[dict[str, object]], what: str) -> None:
    for table, name in (
        ("nodes", "nodes_charged"),
        ("nodes", "nodes_recharged"),
        ("versions", "snapshots_kept_charged"),
    ):
        await connection.execute(f"ALTER TABLE filestore.{table} {what} TRIGGER {name}".encode())


async def main(server: str, rounds: int, *, reads_alone: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    url = database(server)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKEN_OF_COMMANDS)
    pool = make_pool(url, name="bench", generic_plans=True)
    await pool.open(wait=True)
    print("load", os.getloadavg())
    try:
        async with pool.connection() as opened, opened.transaction():
            mount = await make_mount(opened)
        protocol = Protocol(pool)
        await protocol.run(mount, mkdir(mount, "d"))
        await protocol.run(mount, *[upload(mount, f"d/{n}") for n in range(CHILDREN)])
        query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = 'd'"
        async with pool.connection() as opened:
            row = await (await opened.execute(query, [mount])).fetchone()
        assert row is not None
        await reads(FrontOfTest(pool), mount, row["id"], rounds)
        if not reads_alone:
            await writes(pool, rounds)
        print("load", os.getloadavg())
    finally:
        await pool.close()
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)".encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", action="store_true", help="no commands")
    asked = parser.parse_args()
    with nullcontext(asked.server) if asked.server else postgres() as url:
        asyncio.run(main(url, asked.rounds, reads_alone=asked.reads))
