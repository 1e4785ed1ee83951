"""Verbs that carry bytes: put, get, sync. Whole folders too; what is there already and equal does not travel."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Annotated

import typer

from filestore_sdk import errors
from filestore_sdk.cli import exits, rows
from filestore_sdk.cli.addresses import NotAnAddress, Remote, is_remote, local, remote
from filestore_sdk.cli.completing import places, places_and_files
from filestore_sdk.cli.output import Output
from filestore_sdk.cli.progress import Size, of_file, of_folder, size_of
from filestore_sdk.cli.run import Stopped, session
from filestore_sdk.cli.trees import Tally, Trees

Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="a folder with everything below it")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would travel, and do nothing")]
AtOnce = Annotated[int, typer.Option("--at-once", help="transfers side by side", min=1, max=64)]
UP, DOWN = 64, 8
"""Transfers side by side. What is sent together is made durable together, so many at once are worth while; what is fetched
waits for nothing."""


def add(app: typer.Typer) -> None:
    for verb in (put, get, sync):
        app.command()(verb)


def put(
    source: Annotated[
        str, typer.Argument(help="a local file or folder; - is standard input", autocompletion=places_and_files)
    ],
    target: Annotated[str, typer.Argument(help="mount:path", autocompletion=places)],
    recursive: Recursive = False,
    no_overwrite: Annotated[bool, typer.Option("-n", "--no-overwrite", help="leave what is there")] = False,
    parents: Annotated[bool, typer.Option("-p", "--parents", help="make the directories above it")] = False,
    dry_run: DryRun = False,
    at_once: AtOnce = UP,
) -> None:
    """Send a file, or a folder with -r; what is in the folder, where it is written with a slash at its end. The same command
    again goes on where it was, and sends only what has changed."""
    to, file = remote(target), local(source)
    if source == "-":
        _from_stdin(to, overwrite=not no_overwrite, parents=parents)
    elif os.path.isdir(file):
        if not recursive:
            raise Stopped(f"{source} is a folder: give -r to send all of it.", exits.USAGE)
        at = to if source.endswith("/") else _inside(to, os.path.basename(os.path.abspath(file)))
        _tree(Trees(session().client, at_once), "up", file, at, dry_run=dry_run)
    else:
        _one_up(file, _inside(to, os.path.basename(file)), not no_overwrite, parents, dry_run)


def _inside(to: Remote, name: str) -> Remote:
    """Into the directory that is there, or as the very path."""
    if to.contents or not to.path:
        return to.at(name)
    try:
        found = session().client.stat(to.mount, to.path)
    except errors.NodeNotFound:
        return to
    return to.at(name) if found.is_directory else to


def _one_up(file: str, to: Remote, overwrite: bool, parents: bool, dry_run: bool) -> None:
    told = session()
    size = os.stat(file).st_size
    if not dry_run:
        with of_file(told.out, size, to.name) as progress:
            Trees(told.client, 1).send(file, to, size, overwrite=overwrite, parents=parents, progress=progress)
    told.out.row(rows.transferred("send", to.path, size), lambda row: told.out.name(to.path))


def _from_stdin(to: Remote, *, overwrite: bool, parents: bool) -> None:
    """Kept in memory up to 8 MiB, then in a temporary file: a resumable upload has to be able to go back."""
    told = session()
    with tempfile.SpooledTemporaryFile(max_size=8 * 1024 * 1024) as kept:
        while piece := sys.stdin.buffer.read(1024 * 1024):
            kept.write(piece)
        kept.seek(0)
        outcome = told.client.put(to.mount, to.path, kept, overwrite=overwrite, parents=parents)
    told.out.row(rows.outcome(outcome), lambda row: told.out.name(to.path))


def get(
    source: Annotated[str, typer.Argument(help="mount:path", autocompletion=places)],
    target: Annotated[str, typer.Argument(help="a local file or folder", autocompletion=places_and_files)] = ".",
    recursive: Recursive = False,
    version: Annotated[int | None, typer.Option("--version", help="an older version's content")] = None,
    dry_run: DryRun = False,
    at_once: AtOnce = DOWN,
) -> None:
    """Fetch a file, or a directory with -r; what is in the directory, where it is written with a slash at its end. A file is
    there whole and checked, or as it was before; the same command again goes on with one that was cut short."""
    told, at, to = session(), remote(source), local(target)
    found = told.client.stat(at.mount, at.path)
    if found.is_directory:
        if not recursive:
            raise Stopped(f"{source} is a directory: give -r to fetch all of it.", exits.USAGE)
        folder = os.path.join(to, at.name) if os.path.isdir(to) and not at.contents and at.path else to
        _tree(Trees(told.client, at_once), "down", folder, at, dry_run=dry_run)
        return
    file = os.path.join(to, at.name) if os.path.isdir(to) else to
    if not dry_run:
        with of_file(told.out, found.size_bytes, at.name) as progress:
            told.client.fetch(found, file, version=version, progress=progress)
    told.out.row(rows.transferred("send", file, found.size_bytes), lambda row: told.out.name(file))


def sync(
    source: Annotated[str, typer.Argument(help="a local folder, or mount:path", autocompletion=places_and_files)],
    target: Annotated[str, typer.Argument(help="mount:path, or a local folder", autocompletion=places_and_files)],
    delete: Annotated[bool, typer.Option("--delete", help="take away what the source has not")] = False,
    max_delete: Annotated[int, typer.Option("--max-delete", help="stop before more deletions than this")] = 100,
    dry_run: DryRun = False,
    at_once: Annotated[int | None, typer.Option("--at-once", help="transfers side by side", min=1, max=64)] = None,
) -> None:
    """Make the target like the source, one way. With --delete what is not in the source goes, behind a brake."""
    if is_remote(source) == is_remote(target):
        raise NotAnAddress("One side has to be a local folder, and the other one mount:path.")
    told = session()
    up = is_remote(target)
    folder, at = (local(source), remote(target)) if up else (local(target), remote(source))
    if up and not os.path.isdir(folder):
        raise Stopped(f"{source} is no folder here.", exits.NOT_FOUND)
    trees = Trees(told.client, at_once or (UP if up else DOWN))
    _tree(trees, "up" if up else "down", folder, at, dry_run=dry_run, delete=delete, max_delete=max_delete)


def _tree(
    trees: Trees, way: str, folder: str, at: Remote, *, dry_run: bool, delete: bool = False, max_delete: int = 0
) -> None:
    told = session()
    out, tally = told.out, Tally()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a line is seen when its file is through

    def whole() -> Size:
        if way == "up":
            return size_of(folder)
        found = told.client.stat(at.mount, at.path)
        return (found.rollup.file_count, found.rollup.size_bytes) if found.rollup else (1, found.size_bytes)

    with of_folder(out, folder, whole) as progress:

        def steps() -> Iterator[rows.Row]:
            """One list, of what travels and of what goes."""
            carried = trees.carry(way, folder, at, dry_run=dry_run, delete=delete, tally=tally, progress=progress)
            yield from (row for row in carried if row["reason"] != "there already" or out.form != "text")
            if trees.doomed and not dry_run:
                _brake(len(trees.doomed), max_delete)
                yield from trees.delete(way, folder, at, tally)

        out.rows(steps(), lambda row: _line(out, row))
    out.say(str(tally))
    if tally.failed:
        raise Stopped("", exits.PARTIAL if tally.sent or tally.same else exits.FAILED)


def _brake(doomed: int, most: int) -> None:
    if doomed > most and not session().yes:
        raise Stopped(
            f"Nothing was deleted: {doomed} would go, more than --max-delete {most}. "
            "Look with --dry-run, then raise it or give --yes.",
            exits.PARTIAL,
        )


def _line(out: Output, row: rows.Row) -> str:
    why = row["error"] or row["reason"]
    return f"{row['action']:6} {out.name(row['path'])}" + (f"  ({why})" if why else "")
