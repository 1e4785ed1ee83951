"""Verbs that look: ls, tree, stat, cat, find, du, versions, history, diff."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from filestore_sdk import paths
from filestore_sdk.cli import rows
from filestore_sdk.cli.addresses import remote
from filestore_sdk.cli.completing import places
from filestore_sdk.cli.output import moment, size
from filestore_sdk.cli.run import session
from filestore_sdk.cli.values import moment_of, pair
from filestore_sdk.models import Node

Place = Annotated[str, typer.Argument(help="mount:path", autocompletion=places)]


def add(app: typer.Typer) -> None:
    for verb in (ls, tree, stat, cat, find, du, versions, history, diff):
        app.command()(verb)


def ls(
    place: Place,
    long: Annotated[bool, typer.Option("-l", "--long", help="with kind, size, time and version")] = False,
    recursive: Annotated[bool, typer.Option("-R", "--recursive", help="everything below, too")] = False,
) -> None:
    """List a directory, or name a file."""
    at, told = remote(place), session()
    client, out = told.client, told.out
    found = client.stat(at.mount, at.path)
    if not found.is_directory:
        nodes: Iterable[Node] = [found]
    elif recursive:
        nodes = client.walk(at.mount, at.path)
    else:
        nodes = client.children(at.mount, at.path)

    def line(row: rows.Row) -> str:
        name = row["_name"]
        if not long:
            return out.name(name)
        told = f"{row['kind'][:4]:4} {size(row['sizeBytes']):>10}  {moment(row['modifiedAt'])}  v{row['version']:<4}"
        return f"{told} {out.name(name)}"

    def shown() -> Iterable[rows.Row]:
        for one in nodes:
            name = one.path if recursive else (one.name or one.path)
            slash = "/" if one.is_directory and not out.zero else ""
            row = rows.node(one)
            yield row if out.form != "text" else {**row, "_name": name + slash}

    out.rows(shown(), line)


def tree(
    place: Place, depth: Annotated[int | None, typer.Option("--depth", help="levels; all by default")] = None
) -> None:
    """Show a directory and all below it as a tree."""
    at, told = remote(place), session()
    out, base = told.out, at.path.count("/") + 1 if at.path else 0

    def line(row: rows.Row) -> str:
        level: int = row["_path"].count("/") - base
        return "  " * level + out.name(paths.name(row["_path"])) + ("/" if row["kind"] == "directory" else "")

    found = told.client.walk(at.mount, at.path, depth=depth)
    ordered = sorted(found, key=lambda one: one.path.split("/")) if out.form == "text" else found
    out.rows((rows.node(one) if out.form != "text" else {**rows.node(one), "_path": one.path} for one in ordered), line)


def stat(place: Place) -> None:
    """Everything about one file or directory."""
    at, told = remote(place), session()
    row = rows.node(told.client.stat(at.mount, at.path))
    told.out.row(row, lambda one: "\n".join(f"{name:12} {_cell(value)}" for name, value in one.items()))


def _cell(value: Any) -> str:
    return paths.shown(value) if isinstance(value, str) else str(value)


def cat(
    place: Place,
    version: Annotated[int | None, typer.Option("--version", help="an older version's content")] = None,
    start: Annotated[int, typer.Option("--offset", help="from this byte on")] = 0,
    count: Annotated[int | None, typer.Option("--count", help="so many bytes")] = None,
) -> None:
    """Write a file's bytes to standard output."""
    at = remote(place)
    end = None if count is None else start + count
    for piece in session().client.stream(at.mount, at.path, start=start, end=end, version=version):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def find(
    place: Place,
    text: Annotated[str | None, typer.Argument(help="text in the path, in any case")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="file or directory")] = None,
    min_bytes: Annotated[int | None, typer.Option("--min-bytes")] = None,
    max_bytes: Annotated[int | None, typer.Option("--max-bytes")] = None,
    meta: Annotated[list[str] | None, typer.Option("--meta", help="key=value of the metadata; again for more")] = None,
) -> None:
    """Find files and directories below a place."""
    at, told = remote(place), session()
    filters: dict[str, Any] = {}
    if min_bytes is not None or max_bytes is not None:
        bounds = {"min": min_bytes, "max": max_bytes}
        filters["size"] = {name: value for name, value in bounds.items() if value is not None}
    if meta:
        filters["metadata"] = [{"key": key, "value": value} for key, value in map(pair, meta)]
    kinds = [kind] if kind else None
    found = told.client.search(at.mount, text, path=at.path, kinds=kinds, filters=filters or None)
    out = told.out
    out.rows(
        (rows.node(one) if out.form != "text" else {"_path": one.path} for one in found),
        lambda row: out.name(row["_path"]),
    )


def du(place: Place) -> None:
    """Bytes, files and directories of a place and of each directory in it."""
    at, told = remote(place), session()
    out, client = told.out, told.client
    here = client.stat(at.mount, at.path)
    below = client.children(at.mount, at.path, kinds=["directory"]) if here.is_directory else iter(())

    def shown() -> Iterable[rows.Row]:
        for one in below:
            yield rows.usage(one)
        yield rows.usage(here)

    out.rows(
        shown(), lambda row: f"{size(row['sizeBytes']):>10} {row['files']:>9} files  {out.name(row['path'] or '.')}"
    )


def versions(place: Place) -> None:
    """The versions of a file, newest first; `cat --version` and `restore --version` take their numbers."""
    at, told = remote(place), session()

    def line(row: rows.Row) -> str:
        kept = "kept" if row["contentAvailable"] else "-"
        when = f"{row['version']:>5}  {moment(row['validFrom'])}  {size(row['sizeBytes']):>10}"
        return f"{when}  {row['state']:8} {kept:5} {row['commandId'] or ''}"

    told.out.rows((rows.version(one) for one in told.client.versions(at.mount, at.path)), line)


def history(
    place: Place,
    below: Annotated[bool, typer.Option("--below", help="what was done anywhere below it, too")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n")] = 50,
) -> None:
    """What was done at a place, by which principal, and how it ended; newest first."""
    at, told = remote(place), session()
    asked: dict[str, Any] = {"prefix": at.path} if below else {"path": at.path}
    found = told.client.journal(at.mount, **asked)
    out = told.out

    def line(row: rows.Row) -> str:
        ended = row["outcome"] if not row["code"] else f"{row['outcome']} {row['code']}"
        what = f"{moment(row['recordedAt'])}  {row['principal']:12} {row['command']:20} {ended:28}"
        return f"{what} {out.name(row['path'] or '')}  {row['commandId'] or ''}"

    from itertools import islice

    out.rows((rows.entry(one) for one in islice(found, limit)), line)


def diff(
    place: Place,
    since: Annotated[str, typer.Option("--since", help="a time (RFC 3339), or an age like 2h, 3d")],
    until: Annotated[str | None, typer.Option("--until")] = None,
) -> None:
    """What has changed below a place between two times."""
    at, told = remote(place), session()
    found = told.client.diff(at.mount, at.path, since=moment_of(since), until=moment_of(until) if until else None)
    out = told.out

    def line(row: rows.Row) -> str:
        side = row["after"] or row["before"]
        return f"{row['change']:8} {out.name(paths.from_wire(side) or '')}"

    out.rows((dict(one) for one in found), line)
