"""Bring a database to the schema this release needs: `python -m schema.migrate [--status]`.

Plain SQL files, applied in order, one transaction each, under an advisory lock: two migrators at once do it once, one that
is killed has done whole files or nothing. A file that was applied is history: editing it is refused.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import psycopg
from pydantic import ValidationError

from schema.locks import Lock
from schema.settings import Settings, settings_of_logs, unusable


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class HistoryChanged(Exception):
    """An applied migration is not the file of that number any more. Restore it, and put the change into a new file."""


class DatabaseIsNewer(Exception):
    """The database has migrations this release does not know. Run the newer release, or restore a backup."""


def migrations() -> list[Migration]:
    """The files of schema/migrations, `NNNN_name.sql`, in order and without gaps."""
    found = sorted(entry for entry in files("schema.migrations").iterdir() if entry.name.endswith(".sql"))  # type: ignore[type-var]
    all_of_them = [
        Migration(int(entry.name[:4]), entry.name[5:-4], entry.read_text(encoding="utf-8")) for entry in found
    ]
    if [m.version for m in all_of_them] != list(range(1, len(all_of_them) + 1)):
        raise ValueError("migrations must be numbered 0001, 0002, ... without gaps")
    return all_of_them


def migrate(url: str) -> list[Migration]:
    """Apply what is pending; returns what was applied. Raises HistoryChanged, DatabaseIsNewer or psycopg.Error."""
    applied: list[Migration] = []
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '60s'")
        # Held by the session: it outlives the transaction of each file, and dies with its process.
        connection.execute("SELECT pg_advisory_lock(%s)", (Lock.MIGRATE,))
        try:
            for migration in pending(connection):
                with connection.transaction():
                    connection.execute(migration.text.encode())
                    connection.execute(
                        "INSERT INTO public.filestore_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                        (migration.version, migration.name, migration.digest),
                    )
                applied.append(migration)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (Lock.MIGRATE,))
    return applied


def pending(connection: psycopg.Connection) -> list[Migration]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS public.filestore_migrations (version integer PRIMARY KEY, name text NOT NULL,"
        " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = connection.execute("SELECT version, sha256 FROM public.filestore_migrations").fetchall()
    done: dict[int, str] = dict(rows)
    known = migrations()
    if unknown := done.keys() - {m.version for m in known}:
        raise DatabaseIsNewer(f"{DatabaseIsNewer.__doc__} Unknown: {sorted(unknown)}")
    for migration in known:
        if migration.version in done and done[migration.version] != migration.digest:
            raise HistoryChanged(f"{migration.version:04d}_{migration.name}.sql: {HistoryChanged.__doc__}")
    return [m for m in known if m.version not in done]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m schema.migrate", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--status", action="store_true", help="say what is pending and change nothing")
    arguments = parser.parse_args()
    try:
        return _run(Settings().database_url, status=arguments.status)  # type: ignore[call-arg]
    except ValidationError as error:
        for setting, cause in unusable(error):
            _complain("a setting can not be used", setting=setting, cause=cause)
        return 2
    except (HistoryChanged, DatabaseIsNewer) as error:
        _complain(str(error))
    except psycopg.Error as error:
        _complain(
            f"The database refuses: {str(error).strip()}. Check FILESTORE_DATABASE_URL and the log of the server."
        )
    return 1


def _run(url: str, *, status: bool) -> int:
    if not status:
        for migration in migrate(url):
            _say("applied", migration)
        return 0
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        waiting = pending(connection)
    for migration in waiting:
        _say("pending", migration)
    if not waiting:
        _say("up to date")
    return 1 if waiting else 0


def _say(word: str, migration: Migration | None = None) -> None:
    name = f"{migration.version:04d}_{migration.name}" if migration else ""
    if _as_json():
        print(_line("info", word, **({"migration": name} if name else {})))
    else:
        print(f"{word} {name}".strip())


def _complain(event: str, **facts: str) -> None:
    if _as_json():
        print(_line("error", event, **facts), file=sys.stderr)
    else:
        print(f"migrate: {' '.join([event, *facts.values()])}", file=sys.stderr)


def _as_json() -> bool:
    return settings_of_logs()[0] == "json"


def _line(level: str, event: str, **facts: str) -> str:
    """As the other processes write it."""
    return json.dumps({"timestamp": datetime.now(UTC).isoformat(), "level": level, "event": event, **facts})


if __name__ == "__main__":
    sys.exit(main())
