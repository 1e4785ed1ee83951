"""The main job on real files: put a folder through the service over plain HTTP, then show what it knows about it.

    make demo [DATA=FOLDER]

Needs FILESTORE_URL and FILESTORE_TOKEN, as `.dev/env` has them. The input is FOLDER's tracked files where it is a git
repository, else all its files but hidden ones; by default this repository's own.
"""

import http.client
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy.demonstration.client import DemoClient, DemoRefused, DemoUnreadable
from deploy.demonstration.input_files import InputFile, find_files
from deploy.demonstration.progress import WorkShown
from deploy.demonstration.report import DemoWork, human, journal_table, tree, work_table
from deploy.stack.folder import REPOSITORY

CLIENTS = 16
MOUNT_KEY, BUCKET_MOUNT_KEY = "demo-local", "demo-s3"
# Deleted one by one, before one small directory with all that is in it.
DELETED_FILES = 3
# Of all files at most this part is deleted: what was put in is there to be looked at.
DELETED_PART = 4


@dataclass(frozen=True)
class Target:
    """A fresh directory in the demo's mount, which everything goes into."""

    client: DemoClient
    mount: int
    directory: str
    pool: ThreadPoolExecutor
    unreadable: dict[InputFile, str] = field(default_factory=dict)
    """What could not be read when its turn came, and why"""

    def path(self, relative: str) -> str:
        return f"{self.directory}/{relative}" if relative else self.directory


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY).expanduser().resolve()
    if not folder.is_dir():
        return _refuse(f"{folder} is not a folder")
    try:
        client = DemoClient(os.environ["FILESTORE_URL"], os.environ["FILESTORE_TOKEN"])
        put_through(client, folder)
    except KeyboardInterrupt:
        print("\nThe demo was stopped. What it had put in by then stays; `make reset` removes all of it.")
        return 130
    except KeyError as missing:
        return _refuse(f"{missing.args[0]} is not set: use `make demo`, or source .dev/env")
    except DemoRefused as refused:
        return _refuse(f"the service refused: {refused}")
    except DemoUnreadable as error:
        return _refuse(f"a file can not be read: {error}")
    except (OSError, http.client.HTTPException) as error:
        return _refuse(f"the service does not answer: {error}")
    return 0


def put_through(client: DemoClient, folder: Path) -> None:
    found = find_files(folder)
    files, size = found.files, human(sum(file.size for file in found.files))
    pool = ThreadPoolExecutor(CLIENTS)
    try:
        target = Target(client, client.mount_id(MOUNT_KEY), time.strftime("demo-%Y%m%d-%H%M%S"), pool)
        print(f"\nPutting {len(files)} files ({size}) of {folder}")
        print(f"into {MOUNT_KEY}:{target.directory}, {CLIENTS} at a time\n")
        if found.skipped:
            print(f"Left out: {found.said()}\n")
        works = [make_directories(target, files), upload(target, files)]
        files = [file for file in files if file not in target.unreadable]
        works.append(delete_some(target, files))
    except BaseException:
        client.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    show(target, files, works)


def show(target: Target, files: list[InputFile], works: list[DemoWork]) -> None:
    client = target.client
    print(work_table(works))
    for line in list(target.unreadable.values())[:10]:
        print(f"  could not be read: {line}")
    print("\nWhat is there now, with the rollups that the service keeps:\n")
    print(tree(client, target.mount, target.directory))
    entries = client.journal(target.mount, limit=8)
    print(f"\nThe last entries of the journal:\n\n{journal_table(entries)}\n")
    if files:
        print(through_the_bucket(client, target.directory, min(files, key=lambda file: file.size)))
    if link := _workflow_link(entries):
        print(f"One of the workflows that did it:\n\n  {link}\n")


def through_the_bucket(client: DemoClient, directory: str, file: InputFile) -> str:
    """One file into the mount on S3, and out of it again."""
    mount = client.mount_id(BUCKET_MOUNT_KEY)
    client.make_directory(mount, directory)
    path = f"{directory}/{file.source.name}"
    node = client.upload(mount, path, file.source)["node"]
    same = client.content(node["id"]) == file.source.read_bytes()
    return f"In the bucket: {BUCKET_MOUNT_KEY}:{path}, read back {'as it was' if same else 'DIFFERENT'}.\n"


def make_directories(target: Target, files: list[InputFile]) -> DemoWork:
    """Level by level, because a parent must be there before its children."""
    levels = [
        list(level) for _, level in groupby(_directories(files), key=lambda path: path.count("/") if path else -1)
    ]
    began = time.monotonic()
    shown = WorkShown("make directories", sum(map(len, levels)))

    def make(path: str) -> None:
        target.client.make_directory(target.mount, target.path(path))
        shown.done()

    for level in levels:
        _each(target, make, level)
    shown.end()
    return DemoWork("make directories", sum(map(len, levels)), 0, time.monotonic() - began)


def upload(target: Target, files: list[InputFile]) -> DemoWork:
    began = time.monotonic()
    shown = WorkShown("upload files", len(files))

    def put(file: InputFile) -> None:
        try:
            target.client.upload(target.mount, target.path(file.relative), file.source)
        except (DemoUnreadable, FileNotFoundError) as error:
            target.unreadable[file] = str(error)
        shown.done(file.size)

    _each(target, put, files)
    shown.end()
    return DemoWork("upload files", len(files), sum(file.size for file in files), time.monotonic() - began)


def delete_some(target: Target, files: list[InputFile]) -> DemoWork:
    """A few files, then the smallest directory: first emptied, then removed. Most of the files stay."""
    others, directory = chosen_for_deletion(files)
    inside = [file for file in files if directory and file.directory == directory]
    paths = [target.path(file.relative) for file in [*others, *inside]]
    began = time.monotonic()
    _each(target, lambda path: target.client.delete(target.mount, path), paths)
    if directory:
        target.client.delete(target.mount, target.path(directory))
    return DemoWork("delete some", len(paths) + bool(directory), 0, time.monotonic() - began)


def chosen_for_deletion(files: list[InputFile]) -> tuple[list[InputFile], str]:
    """A few files, and a directory (or none, the empty name) that is deleted with what is in it."""
    directory, most = _smallest_leaf(files), len(files) // DELETED_PART
    if sum(file.directory == directory for file in files) > most:
        directory = ""
    others = [file for file in files if not directory or file.directory != directory]
    return others[len(others) - min(DELETED_FILES, most) :], directory


def _each(target: Target, do: Callable[[Any], object], things: Iterable[Any]) -> None:
    for _ in target.pool.map(do, things):  # the first failure ends the demo
        pass


def _directories(files: list[InputFile]) -> list[str]:
    """Every directory above a file, the demo's own (the empty name) first, parents before children."""
    found = {""}
    for file in files:
        words = file.directory.split("/")
        found |= {"/".join(words[:count]) for count in range(1, len(words) + 1)}
    return sorted(found, key=lambda path: (path.count("/") if path else -1, path))


def _smallest_leaf(files: list[InputFile]) -> str:
    """The directory with the fewest files and no directory inside; empty when there is none."""
    directories = [path for path in _directories(files) if path]
    leaves = [path for path in directories if not any(other.startswith(f"{path}/") for other in directories)]
    return min(leaves, key=lambda path: sum(file.directory == path for file in files), default="")


def _workflow_link(entries: list[dict[str, Any]]) -> str:
    """Empty when Temporal has no UI that we know of."""
    ui = os.environ.get("TEMPORAL_UI_URL")
    workflow = next((entry["workflowId"] for entry in entries if entry.get("workflowId")), None)
    return f"{ui}/namespaces/default/workflows/{quote(workflow, safe='')}" if ui and workflow else ""


def _refuse(why: str) -> int:
    print(f"The demo stopped: {why}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
