"""Stop all changes of the installation: `python -m workers.freeze all|list|lift`.

    all REASON [--until 2026-12-01T06:00:00Z]     on every mount of every tenant; prints its id
    list [--past]                                 all freezes, those of tenants too, one JSON object a line
    lift ID                                       end a freeze, this or another one

From its answer on no change begins, in whatever process; reads go on, and operations wait. They go on by themselves when it is
lifted. What is done stands in the journal of each tenant that it is about, by the principal `operator`. Settings come from the
environment. Exit codes: 0 done, 1 refused, 2 usage, 3 Postgres can not be asked.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from schema.access.acts import ActKind, AdministrativeAct
from schema.ids import new_command_id
from schema.principals import Principal
from schema.store import acts, freezes
from schema.store.freezes import NewFreeze
from workers.process import logs
from workers.process.operators import answered, connected

if TYPE_CHECKING:
    from schema.ids import MountId
    from schema.store.connection import Connection

OPERATOR = "operator"
_PAGE = 100


async def run(url: str, arguments: argparse.Namespace) -> int:
    async with connected(url) as connection:
        return await _COMMANDS[arguments.command](connection, arguments)


async def _all(connection: Connection, asked: argparse.Namespace) -> int:
    if not asked.reason.strip():
        return _refused("The reason is empty: all who are refused read it. Say why nothing is to change.")
    if asked.until is not None and asked.until <= datetime.now(UTC):
        return _refused("The end lies in the past. Give a later one, or none.")
    new = NewFreeze(
        tenant=None, principal=OPERATOR, mount=None, reason=asked.reason, until=asked.until, key=new_command_id(),
    )  # fmt: skip
    made = await freezes.create(connection, new)
    assert made is not None, "its key is new"
    await _record(connection, ActKind.FREEZE, None, {"freezeId": made[0], "reason": asked.reason})
    print(made[0])
    return 0


async def _list(connection: Connection, asked: argparse.Namespace) -> int:
    before: int | None = None
    while page := await freezes.listed(connection, None, past=asked.past, before=before, limit=_PAGE):
        for row in page:
            print(orjson.dumps(row).decode())
        before = page[-1]["id"]
    return 0


async def _lift(connection: Connection, asked: argparse.Namespace) -> int:
    known = await freezes.listed(connection, None, past=True, before=None, limit=1, id=asked.id)
    if not known:
        return _refused(f"There is no freeze {asked.id}. `list` has those that hold.")
    if await freezes.lift(connection, asked.id, known[0]["tenant"], OPERATOR) is None:
        return _refused(f"Freeze {asked.id} has ended before. `list` has those that hold.")
    scope = (known[0]["tenant"], known[0]["mount_id"])
    await _record(connection, ActKind.LIFT_FREEZE, scope[0], {"freezeId": asked.id}, scope[1])
    return 0


_COMMANDS = {"all": _all, "list": _list, "lift": _lift}


async def _record(
    connection: Connection, kind: ActKind, tenant: str | None, payload: dict[str, Any], mount: MountId | None = None
) -> None:
    """In the journal of each tenant that it is about."""
    told = await freezes.tenants(connection) if tenant is None else [tenant]
    by = {name: Principal(OPERATOR, name, 0) for name in told}
    done = [AdministrativeAct(kind=kind, tenant=name, by=by[name], mount=mount, payload=payload) for name in told]
    await acts.record_all(connection, done)


def _refused(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m workers.freeze", description=__doc__.splitlines()[0] if __doc__ else None
    )
    commands = made.add_subparsers(dest="command", required=True)
    everything = commands.add_parser("all", help="nothing is changed anywhere until it is lifted")
    everything.add_argument("reason")
    everything.add_argument("--until", type=_moment, metavar="TIME", help="then it ends by itself; UTC without a zone")
    listing = commands.add_parser("list", help="the freezes that hold, one JSON object a line")
    listing.add_argument("--past", action="store_true", help="all that ever were")
    commands.add_parser("lift", help="end a freeze").add_argument("id", type=int)
    return made


def main() -> int:
    arguments = parser().parse_args()
    return answered(run(logs.settings().database_url, arguments))


if __name__ == "__main__":
    sys.exit(main())
