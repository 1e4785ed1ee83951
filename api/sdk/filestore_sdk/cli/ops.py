"""`filestore ops`: bulk operations, watched and steered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated

import typer

from filestore_sdk.cli import exits, rows
from filestore_sdk.cli.output import size
from filestore_sdk.cli.run import Stopped, session
from filestore_sdk.models import Operation

app = typer.Typer(help="Bulk operations: list, show, steer, undo.", no_args_is_help=True, rich_markup_mode=None)
Id = Annotated[str, typer.Argument(help="an operation's id")]


def line(row: rows.Row) -> str:
    done = row["progress"]
    total = done.get("itemsTotal", 0)
    what = f"{row['id']}  {row['kind']:9} {row['state']:12} {done.get('itemsDone', 0)}/{total}"
    return f"{what}  {session().out.name(row['path'] or '')}"


def planned(*operations: Operation) -> None:
    """Show plans as their items, and give them up: nothing of them is done."""
    session().out.rows(chain.from_iterable(map(_items, operations)), item_line)


def _items(operation: Operation) -> Iterator[rows.Row]:
    told = session()
    found = told.client.operations.wait(operation.id, planned=True)
    if found.state in ("failed", "partial"):
        shown_errors(found)
    yield from (rows.item(one) for one in told.client.operations.items(found.id))
    plan = found.plan
    told.out.say(f"{plan.get('items', 0)} items, {size(plan.get('bytes', 0))}, {plan.get('conflicts', 0)} conflicts")
    if not found.ended:
        told.client.operations.cancel(found.id)


def item_line(row: rows.Row) -> str:
    out = session().out
    to = f" -> {out.name(row['targetPath'])}" if row["targetPath"] else ""
    why = f"  {row['code']}" if row["code"] else ""
    return f"{row['state']:8} {row['kind']:10} {out.name(row['path'] or '')}{to}{why}"


def followed(operation: Operation) -> None:
    """Wait for its end with progress on stderr; ends with code 8 or 1 where not all of it was done."""
    told = session()
    client, out = told.client, told.out
    last = ""
    while not operation.ended:
        text = f"{operation.state}: {operation.progress.get('itemsDone', 0)}/{operation.progress.get('itemsTotal', 0)}"
        if text != last:
            out.say(text)
            last = text
        from filestore_sdk._sync import machine

        machine.sleep(0.3)
        operation = client.operations.get(operation.id)
    out.row(rows.operation(operation), line)
    shown_errors(operation)
    if operation.state == "partial":
        raise Stopped("", exits.PARTIAL)
    if operation.state == "failed":
        raise Stopped("", exits.FAILED)


def shown_errors(operation: Operation) -> None:
    for error in operation.errors:
        session().out.warn(f"{error['count']} x {error['code']}, item {error.get('example')} for one")


@app.command("list")
def listed(state: Annotated[list[str] | None, typer.Option("--state")] = None) -> None:
    """List operations, newest first."""
    told = session()
    told.out.rows((rows.operation(one) for one in told.client.operations.list(state=state)), line)


@app.command()
def show(id: Id) -> None:
    """One operation, with its progress."""
    told = session()
    told.out.row(rows.operation(told.client.operations.get(id)), line)


@app.command()
def items(id: Id, state: Annotated[list[str] | None, typer.Option("--state")] = None) -> None:
    """Its items, with what became of each."""
    told = session()
    told.out.rows((rows.item(one) for one in told.client.operations.items(id, state=state)), item_line)


@app.command()
def watch(id: Id) -> None:
    """Wait for its end."""
    followed(session().client.operations.get(id))


def _steered(operation: Operation) -> None:
    session().out.row(rows.operation(operation), line)


@app.command()
def apply(id: Id) -> None:
    """Run a plan exactly as it was shown."""
    _steered(session().client.operations.apply(id))


@app.command()
def pause(id: Id) -> None:
    """Let it rest, for as long as you like."""
    _steered(session().client.operations.pause(id))


@app.command()
def resume(id: Id) -> None:
    """Let it go on."""
    _steered(session().client.operations.resume(id))


@app.command()
def cancel(id: Id, rollback: Annotated[bool, typer.Option("--rollback", help="put back what is done")] = False) -> None:
    """End it; what is done stays, or is put back."""
    told = session()
    if rollback:
        told.confirm(f"Put back all that operation {id} has done?")
    _steered(told.client.operations.cancel(id, rollback=rollback))


@app.command()
def retry(id: Id, item: Annotated[list[int] | None, typer.Option("--item", help="these items alone")] = None) -> None:
    """Do again what failed."""
    _steered(session().client.operations.retry(id, items=item))


@app.command()
def undo(id: Id) -> None:
    """Put back what it did."""
    followed(session().client.operations.undo(id))
