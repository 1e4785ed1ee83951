"""The development stack as a person and as the tests use it: a second one, in a folder and on ports of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.deploy.stacks import REPOSITORY, SERVERS, dev, eventually, lives, pids, processes_of, sourced, up


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("dev") / "stack"
    yield folder
    dev("stop", "--dir", str(folder), check=False)


@pytest.fixture
def stack(home: Path) -> Path:
    """A stack that runs. Tests share it, and whichever ends it leaves the next one to start it again."""
    if not (home / "pids").exists() or not lives(pids(home)["supervisor"]):
        up(home)
    return home


def said_since(folder: Path, begin: int) -> str:
    return (folder / "logs" / "supervisor.log").read_text()[begin:]


def test_its_variables_are_private_and_its_servers_answer(stack: Path) -> None:
    variables = sourced(stack)

    assert (stack / "env").stat().st_mode & 0o777 == 0o600
    with psycopg.connect(variables["FILESTORE_DATABASE_URL"]) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    with redis.Redis.from_url(variables["REDIS_URL"]) as client:
        assert client.ping()
    assert urlsplit(variables["NATS_URL"]).hostname == "127.0.0.1"
    assert set(pids(stack)) == {"supervisor", *SERVERS}
    assert all(lives(pid) for pid in pids(stack).values())


def test_a_database_needs_its_password(stack: Path) -> None:
    user, _, place = sourced(stack)["FILESTORE_DATABASE_URL"].rpartition("@")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{user.rpartition(':')[0]}:wrong@{place}")


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_is_named_and_started_again(stack: Path, name: str) -> None:
    begin = len(said_since(stack, 0))
    killed = pids(stack)[name]
    os.kill(killed, signal.SIGKILL)

    eventually(lambda: f"{name} is back" in said_since(stack, begin))

    assert f"{name} died (signal 9), restarting" in said_since(stack, begin)
    assert pids(stack)[name] != killed
    assert lives(pids(stack)[name])
    assert not lives(killed)


def test_committed_rows_outlive_a_killed_postgres(stack: Path) -> None:
    url = sourced(stack)["FILESTORE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    begin = len(said_since(stack, 0))
    os.kill(pids(stack)["postgres"], signal.SIGKILL)
    eventually(lambda: "postgres is back" in said_since(stack, begin))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_status_tells_who_is_well(stack: Path) -> None:
    shown = dev("status", "--dir", str(stack))
    assert all(f"{name:<12}{pids(stack)[name]:>8}  ok" in shown for name in SERVERS)


def test_a_second_up_says_that_it_runs_and_changes_nothing(stack: Path) -> None:
    before = pids(stack)
    assert f"already runs (pid {before['supervisor']})" in up(stack)
    assert pids(stack) == before


def test_stop_ends_every_process_and_ports_and_data_stay(stack: Path) -> None:
    before, variables = pids(stack), sourced(stack)

    dev("stop", "--dir", str(stack))
    assert not any(lives(pid) for pid in before.values())
    assert processes_of(stack) == []
    assert not (stack / "pids").exists()

    up(stack)
    assert sourced(stack) == variables


def test_a_killed_supervisor_leaves_no_orphan(stack: Path) -> None:
    before = pids(stack)
    assert processes_of(stack)

    os.kill(before["supervisor"], signal.SIGKILL)
    eventually(lambda: not any(lives(pid) for pid in before.values()))
    eventually(lambda: processes_of(stack) == [])

    up(stack)  # and nothing that was left stands in the way
    assert pids(stack)["supervisor"] != before["supervisor"]


def test_an_existing_server_replaces_ours(stack: Path, tmp_path: Path) -> None:
    url = sourced(stack)["REDIS_URL"]
    other = tmp_path / "other"
    argv = [sys.executable, str(REPOSITORY / "deploy" / "dev.py"), "up", "--background", "--dir", str(other)]
    subprocess.run([*argv, "--only", "redis"], env={**os.environ, "REDIS_URL": url}, check=True, timeout=60)
    try:
        assert set(pids(other)) == {"supervisor"}
        assert sourced(other)["REDIS_URL"] == url
    finally:
        dev("stop", "--dir", str(other))


def test_a_part_that_cannot_start_is_named_and_the_rest_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    (folder / "data" / "redis" / "appendonly.aof").mkdir(parents=True)  # Redis cannot open a folder as its file

    said = dev("up", "--background", "--dir", str(folder), "--only", "postgres,redis", check=False)

    assert "FAILED: redis ended while starting" in said
    assert "Can't open the append-only file" in said
    assert processes_of(folder) == []


def test_reset_removes_all_of_it(stack: Path) -> None:
    before = pids(stack)
    dev("reset", "--dir", str(stack))
    assert not any(lives(pid) for pid in before.values())
    assert not stack.exists()
