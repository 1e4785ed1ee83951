"""`python -m workers.check`: what it looks at, and what its exit code says."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from activities.executors.local.executor import LocalExecutor
from schema.check import FindingKind, Severity
from schema.migrate import migrate
from schema.settings import Settings
from schema.store import mounts
from tests.store.conftest import Databases
from tests.store.helpers import OPTIONS, Connection
from workers.check import UnknownMount, check_all, exit_code

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def settings(new_database: Databases) -> Settings:
    url = new_database()
    migrate(url)
    return Settings(database_url=url, host_id="here", stage_max_age_seconds=3600)  # type: ignore[call-arg]


@pytest.fixture
async def disk(settings: Settings, tmp_path: Path) -> AsyncIterator[Path]:
    """A mount with the key of its folder's name, on a real disk."""
    root = tmp_path / os.urandom(4).hex()
    root.mkdir()
    await register(settings, root)
    yield root


async def register(settings: Settings, root: Path, host: str = "here") -> None:
    opened = await psycopg.AsyncConnection.connect(settings.database_url, row_factory=dict_row, options=OPTIONS)
    async with opened as connection:
        mount = await mounts.create(connection, mounts.NewMount(root.name, "local", str(root)), host)
        assert mount is not None
        found = await mounts.find(connection, mount, "main")
        assert found is not None
        LocalExecutor.register(str(root), found.mount_uuid)
        await mounts.record_root(connection, mount, None)
        await mounts.update(connection, mount, {"state": "active", "state_reason": None})


async def pretend(settings: Settings, root: Path, query: str) -> None:
    opened: Connection = await psycopg.AsyncConnection.connect(
        settings.database_url, row_factory=dict_row, options=OPTIONS
    )
    async with opened as connection:
        await connection.execute(query.encode(), {"key": root.name})


async def test_an_empty_mount_is_clean(settings: Settings, disk: Path) -> None:
    findings = await check_all(settings, level="content", mounts=[disk.name])
    assert findings == [] and exit_code(findings) == 0


async def test_foreign_files_are_noticed_and_nothing_is_wrong(settings: Settings, disk: Path) -> None:
    (disk / "theirs").write_bytes(b"x")
    os.mkfifo(disk / "pipe")
    (disk / "link").symlink_to("/etc/passwd")
    (disk / ".filestore" / "stage" / "notes.txt").touch()
    findings = await check_all(settings, level="content", mounts=[disk.name])
    assert sorted(f.kind for f in findings) == [FindingKind.REST, *[FindingKind.UNTRACKED] * 3]
    assert exit_code(findings) == 0


async def test_a_node_that_lies_nowhere_is_an_error(settings: Settings, disk: Path) -> None:
    await pretend(
        settings, disk,
        """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, depth, kind)
           SELECT r.mount_id, r.id, 'f', 'f', 1, 'file' FROM filestore.nodes r JOIN filestore.backend_mounts m
               ON m.id = r.mount_id WHERE m.mount_key = %(key)s""",
    )  # fmt: skip
    findings = await check_all(settings, level="structure", mounts=[disk.name])
    assert FindingKind.DISK in {finding.kind for finding in findings} and exit_code(findings) == 1


async def test_a_mount_that_is_away_is_not_called_clean(settings: Settings, disk: Path) -> None:
    (disk / ".filestore" / "mount.json").unlink()
    findings = await check_all(settings, level="structure", mounts=[disk.name])
    assert [f.kind for f in findings] == [FindingKind.UNCHECKED] and exit_code(findings) == 3
    assert findings[0].severity is Severity.ERROR


async def test_a_mount_of_another_host_is_not_called_clean(settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "far"
    root.mkdir()
    await register(settings, root, "there")
    findings = await check_all(settings, level="structure", mounts=["far"])
    assert [f.kind for f in findings] == [FindingKind.UNCHECKED]


async def test_an_unknown_mount_is_refused(settings: Settings) -> None:
    with pytest.raises(UnknownMount):
        await check_all(settings, level="structure", mounts=["nobody"])


def run(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"FILESTORE_DATABASE_URL": settings.database_url, "FILESTORE_HOST_ID": "here"}
    command = [sys.executable, "-m", "workers.check", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


async def test_the_command_prints_json_and_says_the_rest_with_its_code(settings: Settings, disk: Path) -> None:
    (disk / "theirs").touch()
    result = run(settings, "--mount", disk.name, "--level", "content", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["exitCode"]) == (0, 0)
    assert [finding["where"] for finding in report["findings"]] == [f"{disk.name}: theirs"]
    assert run(settings, "--mount", "nobody").returncode == 2
