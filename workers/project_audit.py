"""The audit streams of projects: `python -m workers.project_audit verify|break-glass`.

    verify [TENANT ...] [--mend]            compare the streams of these tenants, or of all, with the journal; a JSON object a line;
                                            with --mend what is missing is told again, as after NATS has lost its disk
    break-glass TENANT REASON [--seconds N] print credentials of NATS that can shorten the stream of a tenant, and nothing else

The stream is a copy of what the journal says of projects, and the journal is sealed (`python -m workers.audit`). Nothing but these
credentials can shorten it: those that the service itself uses may not. That they were given stands in the journal, by the principal
`operator`, before they are printed. Settings come from the environment. Exit codes: 0 as it should be, 1 it is not, 2 usage,
3 Postgres or NATS can not be asked.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import orjson

from activities.sync.hot import HotUnavailable
from schema.access.acts import ActKind, AdministrativeAct
from schema.errors import NotSupported
from schema.principals import Principal
from schema.settings import Settings
from schema.store import acts, project_acts, projects
from schema.sync.audit import compare, entry_of
from workers.process.operators import answered, connected
from workers.wiring import hot_stores

if TYPE_CHECKING:
    from activities.sync.hot import HotStores
    from schema.store.connection import Connection

OPERATOR = "operator"
_PAGE = 5000
_MOST_SECONDS = 86_400.0


async def verify(connection: Connection, hots: HotStores, tenants: list[str], *, mends: bool = False) -> int:
    """The stream may be a little behind the journal: what is not there yet is no fault."""
    whole = True
    for tenant in tenants or await projects.tenants(connection):
        last = await project_acts.told(connection)
        journal, after = [], 0
        while page := await project_acts.of_tenant(connection, tenant, after, last, _PAGE):
            journal += page
            after = page[-1]["id"]
        told = [entry async for entries in hots.of(tenant).noted() for entry in entries]
        found = compare(tenant, journal, told, last)
        whole = whole and found.is_whole
        if mends and found.missing:
            missing = set(found.missing)
            again = [(row["kind"], f"again-{row['id']}", entry_of(row)) for row in journal if row["id"] in missing]
            await hots.of(tenant).note(again)
        print(orjson.dumps({"tenant": tenant, "whole": found.is_whole, "entries": found.entries, "changed": found.changed[:100],
                            "missing": found.missing[:100], "unknown": found.unknown}).decode())  # fmt: skip
    return 0 if whole else 1


async def break_glass(connection: Connection, hots: HotStores, arguments: argparse.Namespace) -> int:
    try:
        reader = hots.break_glass(arguments.tenant, arguments.seconds)
    except NotSupported as refused:
        print(refused.message, file=sys.stderr)
        return 1
    by = Principal(OPERATOR, arguments.tenant, 0)
    told = {"reason": arguments.reason, "seconds": arguments.seconds}
    await acts.record(
        connection, AdministrativeAct(kind=ActKind.BREAK_GLASS, tenant=arguments.tenant, by=by, payload=told)
    )
    await connection.commit()
    print(reader.credentials, end="")
    return 0


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    hots = hot_stores(settings)
    try:
        async with connected(settings.database_url) as connection:
            if arguments.command == "verify":
                return await verify(connection, hots, arguments.tenants, mends=arguments.mend)
            return await break_glass(connection, hots, arguments)
    except HotUnavailable:
        print("NATS can not be asked. See NATS_URL.", file=sys.stderr)
        return 3
    finally:
        await hots.close()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m workers.project_audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True)
    checks = commands.add_parser("verify")
    checks.add_argument("tenants", nargs="*", metavar="TENANT")
    checks.add_argument("--mend", action="store_true")
    glass = commands.add_parser("break-glass")
    glass.add_argument("tenant")
    glass.add_argument("reason")
    glass.add_argument("--seconds", type=float, default=900.0)
    return made


def main(words: list[str] | None = None) -> int:
    arguments = parser().parse_args(words)
    if arguments.command == "break-glass" and not 0 < arguments.seconds <= _MOST_SECONDS:
        parser().error(f"--seconds is at most {_MOST_SECONDS:.0f}")
    return answered(run(Settings(), arguments))  # type: ignore[call-arg]


if __name__ == "__main__":
    raise SystemExit(main())
