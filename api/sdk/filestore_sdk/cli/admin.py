"""Verbs for those who run it: mounts, tokens, links, doctor, fsck, mcp, completion."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer._completion_shared import get_completion_script

from filestore_sdk import errors, profiles
from filestore_sdk.cli import exits, rows
from filestore_sdk.cli.addresses import remote
from filestore_sdk.cli.completing import places
from filestore_sdk.cli.run import Session, Stopped, session

tokens_app = typer.Typer(help="Tokens: make, list, rotate, revoke.", no_args_is_help=True, rich_markup_mode=None)
links_app = typer.Typer(help="Share links.", no_args_is_help=True, rich_markup_mode=None)


def add(app: typer.Typer) -> None:
    for verb in (mounts, doctor, fsck, mcp, completion):
        app.command()(verb)
    app.add_typer(tokens_app, name="tokens")
    app.add_typer(links_app, name="links")


def mounts() -> None:
    """List the mounts."""
    told = session()
    told.out.rows(
        (rows.mount(one) for one in told.client.mounts.list()),
        lambda row: f"{row['id']:>4}  {row['key']:20} {row['kind']:6} {row['state']:9} {row['accessMode']}",
    )


def doctor() -> None:
    """Look whether everything is well: configuration, server, token, mounts."""
    told = session()
    failed = 0

    def shown() -> Iterator[rows.Row]:
        nonlocal failed
        for check, ok, detail in _looks(told):
            failed += not ok
            yield {"check": check, "ok": ok, "detail": detail}

    told.out.rows(shown(), lambda row: f"{'ok  ' if row['ok'] else 'FAIL'} {row['check']:14} {row['detail']}")
    if failed:
        raise Stopped("", exits.FAILED)


def _looks(told: Session) -> Iterator[tuple[str, bool, str]]:
    where = profiles.chosen(told.url, told.token, told.profile)
    yield "configuration", True, f"url from {where.sources['url']}, token from {where.sources['token']}"
    before = time.monotonic()
    try:
        found = [*told.client.mounts.list()]
    except errors.NotAllowed as refused:
        yield "server", True, f"{where.url} answers"
        yield "token", False, f"{refused.message} {refused.next_step}"
        return
    except errors.FilestoreError as error:
        yield "server", False, f"{error.message} {error.next_step}"
        return
    yield "server", True, f"{where.url} answers in {(time.monotonic() - before) * 1000:.0f} ms"
    yield "token", True, "it may list mounts"
    for one in found:
        yield (
            f"mount {one.mount_key}",
            one.state in ("active", "inactive"),
            f"{one.state} {one.state_reason or ''}".strip(),
        )


def fsck(place: Annotated[str, typer.Argument(help="mount:path", autocompletion=places)]) -> None:
    """Compare a place with the record, wait for the end, list what differs; code 7 if something does."""
    told, at = session(), remote(place)
    job = told.client.drift.reconcile(at.mount, at.path, reason="audit")
    id = job.get("id") or job.get("jobId")
    while id is not None:
        state = told.client.request("GET", f"/v1/reconciliation/jobs/{id}")
        if state["status"] not in ("queued", "running"):
            told.out.say(f"{state['status']}: {state.get('result') or state.get('error') or ''}")
            break
        time.sleep(0.3)
    from filestore_sdk.cli.follow import _finding

    open_ones = told.client.drift.list(mount=at.mount, state=["open", "waiting"])
    if told.out.rows((dict(one) for one in open_ones), _finding):
        raise Stopped("", exits.DRIFT)


def mcp(
    writable: Annotated[bool, typer.Option("--write", help="let the agent change files, too")] = False,
    root: Annotated[str | None, typer.Option("--root", help="mount:path; the agent sees nothing else")] = None,
) -> None:
    """Serve an agent over standard input and output (Model Context Protocol)."""
    try:
        from filestore_sdk.mcp import serve
    except ImportError as missing:
        raise Stopped(f"{missing}. Install the extra: pip install 'filestore-sdk[mcp]'", exits.USAGE) from missing
    told = session()
    where = profiles.chosen(told.url, told.token, told.profile)
    serve(where.url, where.token, writable=writable, root=remote(root) if root else None)


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish")] = "bash") -> None:
    """The script that completes this command in a shell: `eval "$(filestore completion bash)"`."""
    if shell not in ("bash", "zsh", "fish"):
        raise Stopped(f"{shell!r} is not known: bash, zsh and fish are.", exits.USAGE)
    if shell == "bash":
        print("COMP_WORDBREAKS=${COMP_WORDBREAKS//:}  # mount:path is one word")
    print(get_completion_script(prog_name="filestore", complete_var="_FILESTORE_COMPLETE", shell=shell))


def _token(row: rows.Row) -> str:
    return f"{row.get('id')}  {row.get('principal', ''):16} {','.join(row.get('scopes', ()))}  {row.get('expiresAt') or '-'}"


@tokens_app.command("list")
def listed() -> None:
    """List tokens, without their secrets."""
    told = session()
    told.out.rows((dict(one) for one in told.client.tokens.list()), _token)


@tokens_app.command()
def create(
    principal: str,
    scope: Annotated[list[str], typer.Option("--scope", help="filestore:read, filestore:write, ...; again for more")],
    description: Annotated[str | None, typer.Option("--description")] = None,
) -> None:
    """Make a token; it is shown this once."""
    told = session()
    more: dict[str, Any] = {"description": description} if description else {}
    told.out.row(dict(told.client.tokens.create(principal, scope, **more)), lambda row: str(row["token"]))


@tokens_app.command()
def rotate(id: str) -> None:
    """A new secret; the old one lives on for a while."""
    told = session()
    told.out.row(dict(told.client.tokens.rotate(id)), lambda row: str(row["token"]))


@tokens_app.command()
def revoke(id: str) -> None:
    """End a token at once."""
    told = session()
    told.confirm(f"Revoke token {id}?")
    told.out.row(dict(told.client.tokens.revoke(id)), _token)


@links_app.command("create")
def link(
    place: Annotated[str, typer.Argument(help="mount:path", autocompletion=places)],
    kind: Annotated[str, typer.Option("--kind", help="read a file, list a folder, or upload into one")] = "read",
    seconds: Annotated[float | None, typer.Option("--expires", help="seconds; by default it does not end")] = None,
    uses: Annotated[int | None, typer.Option("--uses", help="how often it can be used")] = None,
    password: Annotated[bool, typer.Option("--password", help="asked for; it is read from standard input")] = False,
    description: Annotated[str | None, typer.Option("--description")] = None,
) -> None:
    """An address that needs no token: of a file, of a folder's listing, or of a place to send files to."""
    told, at = session(), remote(place)
    secret = sys.stdin.readline().rstrip("\n") if password else None
    asked = {"expiresIn": seconds, "maxUses": uses, "password": secret, "description": description}
    more = {name: value for name, value in asked.items() if value is not None}
    told.out.row(dict(told.client.links.create(at.mount, at.path, kind=kind, **more)), lambda row: str(row["url"]))


@links_app.command("list")
def links() -> None:
    """List share links."""
    told = session()
    told.out.rows((dict(one) for one in told.client.links.list()), lambda row: f"{row.get('id')}  {row.get('path')}")


@links_app.command("revoke")
def unlink(id: str) -> None:
    """End a share link."""
    session().client.links.revoke(id)
