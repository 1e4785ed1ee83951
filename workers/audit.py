"""The chain of seals over the journal, for operators: `python -m workers.audit verify|seal`.

    verify [--after SEAL]   prove it, and name the places where the journal or the chain is not what it was
    seal                    seal now what the journal has

Settings come from the environment. Findings are printed one JSON object a line, then the sum. Exit codes: 0 nothing was found,
1 something was, 2 usage, 3 Postgres or the copies can not be asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

import psycopg

from activities.audit.copies import copies_of
from schema.store import audit, audit_verify
from workers import wiring
from workers.process import logs

if TYPE_CHECKING:
    from schema.audit.chain import TamperFinding
    from schema.settings import Settings
    from schema.store.audit_verify import ChainProof
    from schema.store.pool import Pool


async def verify(settings: Settings, pool: Pool, after: int) -> int:
    began = monotonic()
    async with pool.connection() as connection:
        proof = await audit_verify.start(connection, after)
        while not proof.done:
            proof = await audit_verify.go_on(connection, proof)
        _, unsealed = await audit.head(connection)
        copies = copies_of(settings)
        known = [] if copies is None else await asyncio.to_thread(copies.read)
        found = [*proof.findings, *await audit_verify.compare(connection, known)]
    for one in found:
        print(json.dumps(asdict(one)))
    print(json.dumps(_sum(proof, found, len(known), unsealed.entries, monotonic() - began)))
    return 1 if found else 0


def _sum(
    proof: ChainProof, found: list[TamperFinding], copies: int, unsealed: int, seconds: float
) -> dict[str, object]:
    return {
        "ok": not found, "seals": proof.seals, "entries": proof.entries, "inArchive": proof.moved, "unsealed": unsealed,
        "copies": copies, "lastSeal": proof.last.number, "lastHash": proof.last.hash.hex(),
        "entriesPerSecond": round(proof.entries / max(seconds, 1e-6)),
    }  # fmt: skip


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    async with wiring.connections_of_a_command(settings, wait_seconds=10) as pool:
        if asked.command == "verify":
            return await verify(settings, pool, asked.after)
        print(await wiring.sealer(settings, pool).seal_due())
        return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m workers.audit", description=__doc__.splitlines()[0] if __doc__ else None
    )
    commands = made.add_subparsers(dest="command", required=True)
    proving = commands.add_parser("verify", help="prove the chain of seals, and the journal under it")
    proving.add_argument(
        "--after", type=int, default=0, metavar="SEAL", help="go on behind this seal, which is believed"
    )
    commands.add_parser("seal", help="seal now what the journal has")
    return made


def main() -> int:
    arguments = parser().parse_args()
    try:
        return asyncio.run(run(logs.settings(), arguments))
    except (psycopg.OperationalError, OSError) as error:
        print(f"What is needed can not be asked: {error}. See FILESTORE_DATABASE_URL.", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
