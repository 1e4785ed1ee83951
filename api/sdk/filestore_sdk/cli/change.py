"""Verbs that change: mkdir, mv, cp, rm, restore, describe, tag, undo. What destroys asks first, and shows the server's plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from filestore_sdk import errors
from filestore_sdk.cli import exits, rows
from filestore_sdk.cli.addresses import NotAnAddress, Remote, is_remote, remote
from filestore_sdk.cli.completing import places
from filestore_sdk.cli.ops import followed, planned
from filestore_sdk.cli.run import Stopped, session
from filestore_sdk.cli.values import moment_of, pair
from filestore_sdk.models import Operation, Outcome

Place = Annotated[str, typer.Argument(help="mount:path", autocompletion=places)]
Key = Annotated[str | None, typer.Option("--key", help="an idempotency key of your own")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show the server's plan, and do nothing")]
IfVersion = Annotated[int | None, typer.Option("--if-version", help="only if the node has this version")]


def add(app: typer.Typer) -> None:
    for verb in (mkdir, mv, cp, rm, restore, describe, tag, undo):
        app.command()(verb)


def _done(outcome: Outcome) -> None:
    session().out.row(rows.outcome(outcome), _path)


def _all_done(outcomes: Iterable[Outcome]) -> None:
    """Of a verb that takes several places."""
    session().out.rows(map(rows.outcome, outcomes), _path)


def _path(row: rows.Row) -> str:
    return session().out.name(row["path"] or "")


def _remotes(places: list[str], key: str | None) -> list[Remote]:
    if key is not None and len(places) > 1:
        raise Stopped("A key is for one change: give it with one place.", exits.USAGE)
    return [remote(place) for place in places]


def mkdir(
    places: Annotated[list[str], typer.Argument(help="mount:path ...", autocompletion=places)],
    parents: Annotated[
        bool, typer.Option("-p", "--parents", help="those above it too; no error if it is there")
    ] = False,
    key: Key = None,
) -> None:
    """Make directories."""
    client, made = session().client, _remotes(places, key)
    _all_done(client.mkdir(at.mount, at.path, parents=parents, exist_ok=parents, key=key) for at in made)


def _target(source: Remote, place: str) -> Remote:
    """Where a source goes: into a directory that is there, or to the very path."""
    at = remote(place)
    if at.contents or not at.path:
        return at.at(source.name)
    try:
        found = session().client.stat(at.mount, at.path)
    except errors.NodeNotFound:
        return at
    return at.at(source.name) if found.is_directory else at


def mv(
    source: Place,
    target: Place,
    overwrite: Annotated[bool, typer.Option("-f", "--overwrite", help="replace a file that is there")] = False,
    dry_run: DryRun = False,
    if_version: IfVersion = None,
    key: Key = None,
) -> None:
    """Move or rename a file, or a directory with everything below it."""
    _relocate("move", source, target, overwrite, dry_run, if_version, key)


def cp(
    source: Place,
    target: Place,
    overwrite: Annotated[bool, typer.Option("-f", "--overwrite", help="replace a file that is there")] = False,
    dry_run: DryRun = False,
    if_version: IfVersion = None,
    key: Key = None,
    _recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="always so: taken for the sake of habit")
    ] = False,
) -> None:
    """Copy a file, or a directory with everything below it, at the server."""
    _relocate("copy", source, target, overwrite, dry_run, if_version, key)


def _relocate(
    verb: str, source: str, target: str, overwrite: bool, dry_run: bool, if_version: int | None, key: str | None
) -> None:
    for one in (source, target):
        if not is_remote(one):
            raise NotAnAddress(
                f"{one!r} is a local path: `filestore put` and `filestore get` carry files to and from here."
            )
    client, at = session().client, remote(source)
    to = _target(at, target)
    if dry_run:
        options = {"onConflict": "overwrite"} if overwrite else None
        planned(
            client.operations.start(
                verb, at.mount, at.path, target=to.path, options=options, plan_only=True,
                target_mount=None if to.mount == at.mount else to.mount,
            )
        )  # fmt: skip
        return
    change = client.move if verb == "move" else client.copy
    elsewhere = None if to.mount == at.mount else to.mount
    _done(change(at.mount, at.path, to.path, target_mount=elsewhere, overwrite=overwrite, if_match=if_version, key=key))


def rm(
    places: Annotated[list[str], typer.Argument(help="mount:path ...", autocompletion=places)],
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="directories with everything below them")
    ] = False,
    dry_run: DryRun = False,
    if_version: IfVersion = None,
    key: Key = None,
) -> None:
    """Delete. What was deleted stays in the trash for a while: `filestore restore` brings it back."""
    client, doomed = session().client, _remotes(places, key)
    if dry_run:
        planned(*(client.operations.start("delete", at.mount, at.path, plan_only=True) for at in doomed))
        return
    if recursive:
        for at in doomed:
            _confirm(at)
    _all_done(client.delete(at.mount, at.path, recursive=recursive, if_match=if_version, key=key) for at in doomed)


def _confirm(at: Remote) -> None:
    """All that is asked is asked before anything is deleted."""
    told = session()
    found = told.client.stat(at.mount, at.path)
    if found.is_directory and found.rollup and found.rollup.child_count:
        told.confirm(f"Delete {at} with its {found.rollup.file_count} files?")


def restore(
    place: Place,
    version: Annotated[int | None, typer.Option("--version", help="the content of this version")] = None,
    to: Annotated[str | None, typer.Option("--to", help="another path on the same mount")] = None,
    key: Key = None,
) -> None:
    """Bring back what was deleted, or an older version's content."""
    at = remote(place)
    target = remote(to).path if to and is_remote(to) else to
    _done(session().client.restore(at.mount, at.path, version=version, target=target, key=key))


def describe(
    place: Place,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, value as JSON or text; again for more")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="a key; again for more")] = None,
    if_version: IfVersion = None,
    key: Key = None,
) -> None:
    """Set and unset metadata of a file or directory."""
    at = remote(place)
    values = dict(map(pair, set or ()))
    if not values and not unset:
        raise Stopped("Say what to change: --set key=value, --unset key.", exits.USAGE)
    _done(session().client.describe(at.mount, at.path, set=values, unset=unset or (), if_match=if_version, key=key))


def tag(
    place: Place,
    add: Annotated[list[str] | None, typer.Option("--add", help="a tag; again for more")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="a tag that goes; again for more")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="whose they are; empty: nobody's")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="the namespace of the records")] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, value as JSON or text; again for more")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="a key; again for more")] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", help="a glob of what is meant; again for more")
    ] = None,
    tagged: Annotated[list[str] | None, typer.Option("--tagged", help="only what has this tag; again for more")] = None,
    dry_run: DryRun = False,
    key: Key = None,
) -> None:
    """Change what the Metastore says of a path and all below it: tags, owner, namespace, metadata of the records."""
    at = remote(place)
    more: dict[str, Any] = {"owner": owner or None} if owner is not None else {}
    more |= {"namespace": namespace} if namespace is not None else {}
    if not (add or remove or set or unset or more):
        raise Stopped(
            "Say what to change: --add tag, --remove tag, --owner, --namespace, --set key=value, --unset key.",
            exits.USAGE,
        )
    chosen: dict[str, object] = {"include": include} if include else {}
    chosen |= {"records": {"tags": tagged}} if tagged else {}
    operation = session().client.operations.tag(
        at.mount, at.path, add=add or (), remove=remove or (), set=dict(map(pair, set or ())), unset=unset or (),
        selection=chosen or None, plan_only=dry_run, key=key, **more,
    )  # fmt: skip
    if dry_run:
        planned(operation)
    else:
        followed(operation)


def undo(
    id: Annotated[str | None, typer.Argument(help="the id of an operation or of a command")] = None,
    session_id: Annotated[str | None, typer.Option("--session", help="all of this correlation id")] = None,
    principal: Annotated[str | None, typer.Option("--principal", help="all that it changed")] = None,
    at: Annotated[str | None, typer.Option("--at", help="mount:path: what was changed there or below")] = None,
    since: Annotated[str | None, typer.Option("--since", help="a time, or an age like 2h")] = None,
    dry_run: DryRun = False,
) -> None:
    """Put back what an operation, a command, a session or a principal did. What others changed since is left, and listed."""
    client = session().client
    if id is not None:
        operation = _undo_one(id, dry_run)
    elif session_id or principal or at:
        place = remote(at) if at else None
        operation = client.operations.undo_changes(
            place.mount if place else None, principal=principal, correlation_id=session_id,
            path=place.path if place and place.path else None, since=moment_of(since) if since else None, plan_only=dry_run,
        )  # fmt: skip
    else:
        raise Stopped("Say what to undo: an id, --session, --principal or --at.", exits.USAGE)
    if dry_run:
        planned(operation)
    else:
        followed(operation)


def _undo_one(id: str, dry_run: bool) -> Operation:
    client = session().client
    try:
        return client.operations.undo(id, plan_only=dry_run)
    except errors.Missing:
        return client.operations.undo_changes(commands=[id], plan_only=dry_run)
