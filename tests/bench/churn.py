"""How tables grow under long churn: `python -m tests.bench.churn [--commands 20000] [--files 500] [--rounds 8]`.

Commands write, move and delete the same few files over and over, in the record alone; events get positions, the
Metastore follows, deltas are folded, and what is kept no longer is pruned, as a service of long standing does it. After each round
the size of every table is taken. Tables that are pruned, or have a row per file, must come to rest: what they gain between the
second round and the last one is bloat, and the script says how many times over. Those that keep the past grow by so many bytes a
command.
"""

import argparse
import asyncio
import os
import random
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg

from activities.consumers.metastore import Metastore
from activities.events.publish import Publish
from activities.upkeep.retention import Retention
from schema.commands.command import Command, CommandKind
from schema.ids import MountId
from schema.store import events, rollups
from schema.store.pool import Pool, make_pool
from tests.bench.running import record
from tests.store.helpers import TOKEN_OF_COMMANDS, Protocol, asked, delete, make_mount, mkdir, upload
from workers.buses.redis import InlineBus

LIST, FOLDERS = 50, 10
KEPT = ("journal_entries", "snapshots", "nodes", "metastore_records", "metastore_history")
"""The past, deleted nodes among it: it is not pruned"""
SIZES = """SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes, s.n_live_tup AS live, s.n_dead_tup AS dead
  FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE s.schemaname = 'filestore' AND c.relkind = 'r'"""
Sizes = dict[str, tuple[int, int, int]]


def churn(mount: MountId, files: int, dice: random.Random) -> Iterator[Command]:
    """Without end: whatever fits what is there."""
    lies: dict[int, int] = {}
    while True:
        n, folder = dice.randrange(files), dice.randrange(FOLDERS)
        path = f"d{lies.get(n, folder)}/{n}"
        if n not in lies:
            lies[n] = folder
            yield upload(mount, path, dice.randrange(1, 10**6))
        elif (step := dice.random()) < 0.4:
            yield upload(mount, path, dice.randrange(1, 10**6), overwrite=True)
        elif step < 0.7 and lies[n] != folder:
            lies[n] = folder
            yield asked(CommandKind.MOVE, mount, path, target=f"d{folder}/{n}")
        else:
            del lies[n]
            yield delete(mount, path)


def lists(commands: Iterator[Command]) -> Iterator[list[Command]]:
    """Each file once in a list."""
    held, names = list[Command](), set[str]()
    for one in commands:
        name = one.path.partition("/")[2]
        if name in names or len(held) == LIST:
            yield held
            held, names = [], set()
        held.append(one)
        names.add(name)


async def carried_out(protocol: Protocol, mount: MountId, some: Iterator[list[Command]], count: int) -> None:
    done = 0
    while done < count:
        requests = next(some)
        await protocol.run(mount, *requests)
        protocol.audience.verdicts.clear()
        protocol.audience.outcomes.clear()
        done += len(requests)


async def kept_up(pool: Pool) -> None:
    """What the background work of a service does."""
    async with pool.connection() as connection:
        while await events.give_positions(connection, 1000):
            pass
        await connection.execute("DELETE FROM filestore.cleanups")  # as `finish` closes them
    await Publish(pool, InlineBus()).send()
    metastore = Metastore(pool)
    while await metastore.step():
        pass
    folded = 1
    while folded:
        async with pool.connection() as connection, connection.transaction():
            folded = await rollups.fold(connection)
    nothing = timedelta(0)
    while (await Retention(pool, nothing, nothing, nothing).prune()).more:
        pass


def sizes(url: str) -> Sizes:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE, TRUNCATE false)")  # as autovacuum does, but at a known time
        return {name: (size, live, dead) for name, size, live, dead in connection.execute(SIZES).fetchall()}


async def measured(url: str, arguments: argparse.Namespace) -> None:
    pool = make_pool(url, name="bench", min_size=2, max_size=6)
    await pool.open(wait=True)
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    protocol = Protocol(pool)
    await protocol.run(mount, *(mkdir(mount, f"d{n}") for n in range(FOLDERS)))
    some = lists(churn(mount, arguments.files, random.Random(7)))
    taken = []
    for round in range(arguments.rounds):
        began = time.perf_counter()
        await carried_out(protocol, mount, some, arguments.commands // arguments.rounds)
        await kept_up(pool)
        taken.append(sizes(url))
        print(f"round {round + 1}, load {os.getloadavg()[0]:.0f}: {time.perf_counter() - began:.0f} s", flush=True)
    told(taken, arguments.commands * (arguments.rounds - 2) // arguments.rounds)
    await pool.close()


def told(taken: list[Sizes], commands: int) -> None:
    """`commands`: between the second round and the last."""
    second, last = taken[1], taken[-1]
    print(f"\n{'table':24}{'KiB':>10}{'rows':>10}{'of round 2':>12}{'bytes a command':>18}")
    for name, (size, live, _) in sorted(last.items(), key=lambda one: -one[1][0]):
        before = second[name][0]
        if size == before and size < 2**17:
            continue
        grown = f"{(size - before) / commands:18.0f}" if name in KEPT else ""
        print(f"{name:24}{size / 1024:10.0f}{live:10}{size / before:12.2f}{grown}")
    pruned = {name: size / second[name][0] for name, (size, _, _) in last.items() if name not in KEPT}
    worst = max(pruned, key=lambda name: pruned[name] if last[name][0] > 2**18 else 0)
    print(f"\nThe worst of those that must come to rest: {worst}, {pruned[worst]:.2f} times its size after round 2.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    with record() as (url, _):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TOKEN_OF_COMMANDS)
        asyncio.run(measured(url, arguments))


if __name__ == "__main__":
    main()
