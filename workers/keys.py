"""The keys that stored secrets are sealed with: `python -m workers.keys list|add|reseal|drop`.

    list        the keys of this host, the first one seals; how many secrets each has sealed
    add         put a new key before the others of FILESTORE_SECRETS_KEYS_PATH: from now on it seals
    reseal      seal with the first key what another one sealed
    drop ID     take a key out of the file, if it has sealed nothing that is stored

To change the key: `add` (copy the file to every host), `reseal`, `drop`. Processes read the file again by themselves. Settings
come from the environment. Exit codes: 0 done, 1 refused, 2 usage, 3 Postgres can not be asked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from schema.errors import FilestoreError
from schema.secrets.configured import keyring_of
from schema.secrets.keyring import new_key, write_keys
from schema.secrets.references import SecretUnreadable
from schema.store import secrets
from workers.process import logs
from workers.process.operators import answered, connected

if TYPE_CHECKING:
    from schema.settings import Settings
    from schema.store.connection import Connection


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    url = settings.database_url
    async with connected(url) as connection:
        try:
            return await _COMMANDS[arguments.command](connection, settings, arguments)
        except (FilestoreError, SecretUnreadable) as error:
            return _refused(str(error))


async def _list(connection: Connection, settings: Settings, asked: argparse.Namespace) -> int:
    used = await secrets.keys_in_use(connection)
    for id in [one.partition(":")[0] for one in _lines(settings)] or [keyring_of(settings).current]:
        print(f"{id} {used.pop(id, 0)}")
    for missing, number in used.items():
        print(f"{missing} {number} not of this host" if missing else f"(not sealed) {number}")
    return 0


async def _add(connection: Connection, settings: Settings, asked: argparse.Namespace) -> int:
    if settings.secrets_keys is not None:
        return _refused(
            "The keys come from FILESTORE_SECRETS_KEYS. Put `<id>:<32 bytes as base64>` before the others there."
        )
    key = new_key()
    write_keys(settings.secrets_keys_path, [key, *_lines(settings)], replace_it=True)
    print(key.partition(":")[0])
    return 0


async def _reseal(connection: Connection, settings: Settings, asked: argparse.Namespace) -> int:
    print(await secrets.reseal(connection, keyring_of(settings)))
    return 0


async def _drop(connection: Connection, settings: Settings, asked: argparse.Namespace) -> int:
    lines = _lines(settings)
    kept = [line for line in lines if line.partition(":")[0] != asked.id]
    if settings.secrets_keys is not None or kept == lines or not kept:
        return _refused(f"There is no key {asked.id!r} in the file, or it is the last one.")
    if number := (await secrets.keys_in_use(connection)).get(asked.id):
        return _refused(f"Key {asked.id!r} has sealed {number} secrets that are stored. Run `reseal` first.")
    write_keys(settings.secrets_keys_path, kept, replace_it=True)
    return 0


_COMMANDS = {"list": _list, "add": _add, "reseal": _reseal, "drop": _drop}


def _lines(settings: Settings) -> list[str]:
    if settings.secrets_keys is not None:
        return settings.secrets_keys.split(",")
    try:
        return Path(settings.secrets_keys_path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _refused(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m workers.keys", description=__doc__.splitlines()[0] if __doc__ else None
    )
    commands = made.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the keys, and how many secrets each has sealed")
    commands.add_parser("add", help="put a new key before the others")
    commands.add_parser("reseal", help="seal everything with the first key")
    commands.add_parser("drop", help="take a key out of the file").add_argument("id")
    return made


def main() -> int:
    arguments = parser().parse_args()
    return answered(run(logs.settings(), arguments))


if __name__ == "__main__":
    sys.exit(main())
