"""Verbs that follow: events, watch, drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from filestore_sdk import paths
from filestore_sdk.cli import exits, rows
from filestore_sdk.cli.addresses import Remote, remote
from filestore_sdk.cli.completing import places
from filestore_sdk.cli.run import Stopped, session
from filestore_sdk.models import Event

Somewhere = Annotated[str | None, typer.Argument(help="mount:path; everything by default", autocompletion=places)]


def add(app: typer.Typer) -> None:
    app.command()(events)
    app.command()(watch)
    app.add_typer(drift_app, name="drift")


def _line(row: rows.Row) -> str:
    told, data = session().out, row["data"]
    return (
        f"{row['position']:>10}  {row['type'].removeprefix('filestore.'):24} {told.name(paths.from_wire(data) or '')}"
    )


def _where(place: str | None) -> dict[str, Any]:
    at: Remote | None = remote(place) if place else None
    return {} if at is None else {"mount": at.mount, "prefix": at.path or None}


def events(
    place: Somewhere = None,
    after: Annotated[str | None, typer.Option("--after", help="a position; the oldest kept by default")] = None,
    type: Annotated[list[str] | None, typer.Option("--type", help="a type; again for more")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on with what happens")] = False,
) -> None:
    """Events that have happened, oldest first."""
    told = session()
    found: Iterator[Event] = told.client.events(after=after, types=type, follow=follow, **_where(place))
    told.out.rows((rows.event(one) for one in found), _line)


def watch(place: Somewhere = None, type: Annotated[list[str] | None, typer.Option("--type")] = None) -> None:
    """Events as they happen, until Ctrl-C."""
    told = session()
    if told.out.form == "json":
        told.out.form = "jsonl"
    told.out.say("watching; Ctrl-C ends it")
    told.out.rows((rows.event(one) for one in told.client.events(types=type, **_where(place))), _line)


drift_app = typer.Typer(
    help="What is on the mounts and not in the record.", no_args_is_help=True, rich_markup_mode=None
)


def _finding(row: rows.Row) -> str:
    out = session().out
    return f"{row.get('id')}  {row.get('kind', ''):14} {row.get('state', ''):8} {out.name(paths.from_wire(row) or '')}"


@drift_app.command("list")
def listed(place: Somewhere = None, state: Annotated[list[str] | None, typer.Option("--state")] = None) -> None:
    """List findings; ends with code 7 if there is one."""
    told = session()
    mount = remote(place).mount if place else None
    count = told.out.rows((dict(one) for one in told.client.drift.list(mount=mount, state=state)), _finding)
    if count:
        raise Stopped("", exits.DRIFT)


@drift_app.command()
def decide(
    decision: Annotated[str, typer.Argument(help="accept, restore, quarantine or ignore")], ids: list[str]
) -> None:
    """Decide findings, each as it stands now."""
    told = session()
    found = [told.client.drift.get(id) for id in ids]
    if decision in ("restore", "quarantine"):
        told.confirm(f"{decision} {len(found)} findings?")
    told.out.document(told.client.drift.decide(decision, found))


def _schedule(row: rows.Row) -> str:
    last = row["lastRun"] or {}
    when, ended = row["nextRunAt"] or "-", last.get("outcome", "never")
    return f"{row['id']:36} {row['kind']:8} {row['state']:9} next {when}  last {last.get('startedAt', '')} {ended}"


@drift_app.command()
def schedules(
    place: Annotated[str, typer.Argument(help="mount:", autocompletion=places)],
    pause: Annotated[str | None, typer.Option("--pause", help="the id of a schedule")] = None,
    resume: Annotated[str | None, typer.Option("--resume", help="the id of a schedule")] = None,
    run: Annotated[str | None, typer.Option("--run", help="the id of a schedule")] = None,
) -> None:
    """What happens at a mount by the clock; pause, resume or run one."""
    told, mount = session(), remote(place).mount
    for action, id in (("pause", pause), ("resume", resume), ("run", run)):
        if id is not None:
            told.client.drift.steer(mount, id, action)
    told.out.rows((dict(one) for one in told.client.drift.schedules(mount)), _schedule)


@drift_app.command()
def check(place: Annotated[str, typer.Argument(help="mount:path", autocompletion=places)]) -> None:
    """Have a place compared with the record."""
    told, at = session(), remote(place)
    told.out.row(dict(told.client.drift.reconcile(at.mount, at.path)), lambda row: str(row.get("id", "enqueued")))
