"""Tokens for operators who have only the database: `python -m workers.tokens create|list|rotate|revoke`.

    create PRINCIPAL --scope admin [--tenant main] [--description TEXT] [--expires-in SECONDS]
    list [--tenant main] [--revoked]
    rotate ID [--grace SECONDS]
    revoke ID

Settings come from the environment. A token is printed once, alone on standard output. What is done stands in the journal, by the
principal `operator`. Exit codes: 0 done, 1 refused, 2 usage, 3 Postgres can not be asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from schema.access.actions import SCOPES
from schema.access.acts import ActKind, AdministrativeAct
from schema.principals import Principal
from schema.store import acts, tokens
from schema.store.tokens import NewToken
from workers.process import logs
from workers.process.operators import answered, connected

if TYPE_CHECKING:
    from schema.store.connection import Connection

OPERATOR = "operator"


async def run(url: str, arguments: argparse.Namespace) -> int:
    async with connected(url) as connection:
        return await _COMMANDS[arguments.command](connection, arguments)


async def _create(connection: Connection, asked: argparse.Namespace) -> int:
    expires = None if asked.expires_in is None else datetime.now(UTC) + timedelta(seconds=asked.expires_in)
    new = NewToken(
        principal=asked.principal, scopes=asked.scope, tenant=asked.tenant, description=asked.description,
        expires_at=expires, created_by=OPERATOR,
    )  # fmt: skip
    id, token = await tokens.issue(connection, new)
    await _record(connection, ActKind.CREATE_TOKEN, asked.tenant, id)
    print(token)
    return 0


async def _list(connection: Connection, asked: argparse.Namespace) -> int:
    before: int | None = None
    while page := await tokens.listed(connection, asked.tenant, before=before, revoked=asked.revoked, limit=200):
        for _, document in page:
            print(document)
        before = page[-1][0]
    return 0


async def _rotate(connection: Connection, asked: argparse.Namespace) -> int:
    if await tokens.lock(connection, asked.id, asked.tenant) is None:
        return _refused(f"There is no token {asked.id} of the tenant {asked.tenant!r}.")
    token = await tokens.rotate(connection, asked.id, asked.grace)
    if token is None:
        return _refused(f"Token {asked.id} is revoked. Make a new one.")
    await _record(connection, ActKind.ROTATE_TOKEN, asked.tenant, asked.id)
    print(token)
    return 0


async def _revoke(connection: Connection, asked: argparse.Namespace) -> int:
    if not await tokens.revoke(connection, asked.id, tenant=asked.tenant):
        return _refused(f"There is no token {asked.id} of the tenant {asked.tenant!r} that still holds.")
    await _record(connection, ActKind.REVOKE_TOKEN, asked.tenant, asked.id)
    return 0


_COMMANDS = {"create": _create, "list": _list, "rotate": _rotate, "revoke": _revoke}


async def _record(connection: Connection, kind: ActKind, tenant: str, id: int) -> None:
    [(_, document)] = await tokens.listed(connection, tenant, only=id)
    by = Principal(OPERATOR, tenant, 0)
    await acts.record(connection, AdministrativeAct(kind=kind, tenant=tenant, by=by, after=json.loads(document)))


def _refused(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m workers.tokens", description=__doc__.splitlines()[0] if __doc__ else None
    )
    commands = made.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a token, and print it")
    create.add_argument("principal")
    create.add_argument("--scope", action="append", required=True, choices=sorted(SCOPES))
    create.add_argument("--description")
    create.add_argument("--expires-in", type=float, metavar="SECONDS")
    listing = commands.add_parser("list", help="print the tokens, one JSON object a line")
    listing.add_argument("--revoked", action="store_true", help="revoked ones too")
    rotate = commands.add_parser("rotate", help="give a token another secret, and print it")
    rotate.add_argument("id", type=int)
    rotate.add_argument("--grace", type=float, default=3600, metavar="SECONDS", help="so long the old one holds")
    revoke = commands.add_parser("revoke", help="end a token")
    revoke.add_argument("id", type=int)
    for one in (create, listing, rotate, revoke):
        one.add_argument("--tenant", default="main")
    return made


def main() -> int:
    arguments = parser().parse_args()
    return answered(run(logs.settings().database_url, arguments))


if __name__ == "__main__":
    sys.exit(main())
