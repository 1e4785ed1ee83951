"""What others do to a tree of files: cp, rsync where it is there, rclone, mv, rm, and bare SQL for what a record needs."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.bench import rclone
from tests.bench.operations import plainly

Peer = Callable[[Path, Path], None]


def copiers(*, with_rclone: bool) -> dict[str, Peer]:
    """Each copies a tree, has its bytes hashed, and flushes it."""
    there: dict[str, Peer] = {"cp -a, sha256sum, sync": plainly}
    if shutil.which("rsync"):
        there["rsync -a, sha256sum, sync"] = _rsync
    if with_rclone:
        rclone.installed()
        there["rclone copy --checksum, sync"] = _rclone
    return there


def _rsync(source: Path, target: Path) -> None:
    subprocess.run(["rsync", "-a", f"{source}/", target], check=True)
    hashed = f"find {target} -type f -print0 | xargs -0 sha256sum > {target}.sums"
    subprocess.run(["sh", "-c", hashed], check=True)
    subprocess.run(["sync", "-f", target], check=True)


def _rclone(source: Path, target: Path) -> None:
    """It compares the hashes of both sides by itself."""
    run_rclone("copy", "--checksum", "--transfers", "8", source, target)
    subprocess.run(["sync", "-f", target], check=True)


def run_rclone(*words: object, env: dict[str, str] | None = None) -> None:
    command = [str(rclone.installed()), *map(str, words)]
    subprocess.run(command, check=True, env={**os.environ, "RCLONE_CONFIG": "", **(env or {})}, capture_output=True)


def removed(tree: Path) -> None:
    subprocess.run(["rm", "-rf", tree], check=True)
    subprocess.run(["sync", "-f", tree.parent], check=True)


NODES = """
CREATE TABLE IF NOT EXISTS public.plain AS
SELECT n.id, n.parent_id, n.kind::text, n.size_bytes, n.directory_path FROM filestore.nodes n
 WHERE n.mount_id = {mount} AND n.state <> 'deleted';
CREATE INDEX IF NOT EXISTS plain_parent ON public.plain (parent_id);
CREATE INDEX IF NOT EXISTS plain_path ON public.plain (directory_path);
ANALYZE public.plain;
"""
ROLLUP = """
WITH RECURSIVE own AS (
    SELECT parent_id, count(*) FILTER (WHERE kind <> 'directory') AS files, sum(size_bytes) AS bytes FROM public.plain GROUP BY 1
), up AS (
    SELECT parent_id AS directory, files, bytes FROM own WHERE parent_id IS NOT NULL
     UNION ALL
    SELECT p.parent_id, u.files, u.bytes FROM up u JOIN public.plain p ON p.id = u.directory WHERE p.parent_id IS NOT NULL
)
SELECT directory, sum(files), sum(bytes) FROM up GROUP BY 1
"""
MOVE = """
UPDATE public.plain SET directory_path = convert_to({new}, 'UTF8') || substring(directory_path FROM octet_length({old}) + 1)
 WHERE directory_path >= convert_to({old}, 'UTF8') AND directory_path < convert_to({old} || chr(127), 'UTF8')
"""
"""What any record that keeps the paths of directories has to do for a move."""


def make_plain(url: str, mount: str) -> None:
    """A narrow copy of the nodes of a mount, for bare SQL beside ours."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.plain")
        connection.execute(NODES.format(mount=int(mount)).encode())


def rolled_up(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ROLLUP.encode()).fetchall()


def moved(url: str, tree: Path) -> None:
    """`mv` there and back, flushed, and the bare SQL for each."""
    other = tree.with_name(f"moved-{uuid.uuid4().hex[:8]}")
    with psycopg.connect(url, autocommit=True) as connection:
        for source, target in ((tree, other), (other, tree)):
            subprocess.run(["mv", source, target], check=True)
            folder = os.open(tree.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
            connection.execute(MOVE.format(old=f"'{source.name}/'", new=f"'{target.name}/'").encode())
