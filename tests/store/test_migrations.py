"""A new database and one that was migrated end up the same; migrating is safe to repeat, to race and to kill."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from schema import migrate as module
from schema.migrate import DatabaseIsNewer, HistoryChanged, Migration, migrate, migrations

SCHEMA = Path(module.__file__).with_name("schema.sql")


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(url: str) -> list[str]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'filestore' ORDER BY 1"
    return [name for (name,) in ask(url, query)]


CATALOG = {
    "columns": """SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                         a.attidentity, pg_get_expr(d.adbin, d.adrelid)
                    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                   WHERE c.relnamespace = 'filestore'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    "settings": """SELECT relname, reloptions FROM pg_class
                    WHERE relnamespace = 'filestore'::regnamespace AND reloptions IS NOT NULL""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'filestore'",
    "constraints": """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                       WHERE connamespace = 'filestore'::regnamespace""",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'filestore'::regnamespace",
    "triggers": """SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                    WHERE c.relnamespace = 'filestore'::regnamespace AND NOT tgisinternal""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'filestore'",
    "types": """SELECT t.typname, e.enumsortorder, e.enumlabel FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
                 WHERE t.typnamespace = 'filestore'::regnamespace""",
    "transitions": "SELECT from_state::text, to_state::text, reason FROM filestore.node_transitions",
    "feed": "SELECT count(*) FROM filestore.event_feed",
}


def catalog(url: str) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(ask(url, query), key=repr) for name, query in CATALOG.items()}


def test_schema_sql_and_the_migrations_make_the_same_database(empty: str, record_url: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8").encode())
    assert catalog(empty) == catalog(record_url)


def test_migrating_twice_does_it_once(empty: str) -> None:
    assert [m.version for m in migrate(empty)] == [m.version for m in migrations()]
    assert migrate(empty) == []


def test_two_migrators_at_once_do_it_once(empty: str) -> None:
    applied: list[Migration] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            applied.extend(migrate(empty))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [m.version for m in applied] == [m.version for m in migrations()]


def test_an_edited_history_is_refused_and_named(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(empty)
    edited = [Migration(m.version, m.name, m.text + "\n-- a second thought") for m in migrations()]
    monkeypatch.setattr(module, "migrations", lambda: edited)
    with pytest.raises(HistoryChanged, match="0001_core"):
        migrate(empty)


def test_a_database_from_the_future_is_refused(empty: str) -> None:
    migrate(empty)
    ask(empty, "INSERT INTO public.filestore_migrations VALUES (9999, 'future', '') RETURNING 1")
    with pytest.raises(DatabaseIsNewer, match="9999"):
        migrate(empty)


def test_a_migration_that_fails_halfway_leaves_nothing_of_itself(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    bad = Migration(len(known) + 1, "bad", "CREATE TABLE filestore.half (); SELECT 1/0;")
    monkeypatch.setattr(module, "migrations", lambda: [*known, bad])
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty)
    assert "half" not in tables(empty) and "nodes" in tables(empty)
    monkeypatch.setattr(module, "migrations", lambda: known)
    assert migrate(empty) == []


@pytest.fixture
def killed(empty: str) -> Iterator[str]:
    """A database whose migrator was killed in the middle of a file."""
    script = (
        "import sys; from schema import migrate as m;"
        "m.migrations = lambda: [m.Migration(1, 'slow', 'CREATE SCHEMA filestore; SELECT pg_sleep(60)')];"
        "m.migrate(sys.argv[1])"
    )
    process = subprocess.Popen([sys.executable, "-c", script, empty], cwd=SCHEMA.parents[1])
    end = time.monotonic() + 20
    sleeping = f"SELECT pid FROM pg_stat_activity WHERE datname = '{empty.rsplit('/', 1)[1]}' AND query ~ 'pg_sleep.60'"
    while not (found := [row for row in ask(empty, sleeping + " AND pid <> pg_backend_pid()")]):
        assert time.monotonic() < end, "the migrator did not get to its sleep"
        time.sleep(0.02)
    process.kill()
    process.wait()
    ask(empty, f"SELECT pg_terminate_backend({found[0][0]})")
    yield empty


def test_a_migrator_that_is_killed_leaves_nothing_and_the_next_one_does_it_all(killed: str) -> None:
    assert tables(killed) == []
    assert [m.version for m in migrate(killed)] == [m.version for m in migrations()]


def test_the_command_says_what_is_pending_and_applies_it(
    empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FILESTORE_DATABASE_URL", empty)
    said = []
    for arguments in (["--status"], [], ["--status"], []):
        monkeypatch.setattr(sys, "argv", ["migrate", *arguments])
        said.append((module.main(), capsys.readouterr().out.strip()))
    names = [f"{m.version:04d}_{m.name}" for m in migrations()]
    pending, applied = ("\n".join(f"{verb} {name}" for name in names) for verb in ("pending", "applied"))
    assert said == [(1, pending), (0, applied), (0, "up to date"), (0, "")]
