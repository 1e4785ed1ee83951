"""`filestore config`: profiles, so that no token has to stand in a command line."""

from __future__ import annotations

from typing import Annotated

import typer

from filestore_sdk import profiles
from filestore_sdk.cli import exits
from filestore_sdk.cli.run import Stopped, session

app = typer.Typer(help="Profiles: where servers are, and their tokens.", no_args_is_help=True, rich_markup_mode=None)


@app.command("set")
def set_(
    field: Annotated[str, typer.Argument(help="url or token")],
    value: Annotated[str, typer.Argument(help="`-` reads it from standard input")],
) -> None:
    """Store a value in a profile (`--profile`, otherwise `default`)."""
    if field not in ("url", "token"):
        raise Stopped(f"{field!r} is no field of a profile: url and token are.", exits.USAGE)
    if value == "-":
        import sys

        value = sys.stdin.readline().strip()
    file = profiles.place()
    parser = profiles.read(file)
    name = session().profile or "default"
    if not parser.has_section(name):
        parser.add_section(name)
    parser.set(name, field, value)
    profiles.write(file, parser)


@app.command("list")
def listed() -> None:
    """Names of profiles, with their servers."""
    parser = profiles.read(profiles.place())
    found = ({"profile": name, "url": parser.get(name, "url", fallback=None)} for name in parser.sections())
    session().out.rows(found, lambda row: f"{row['profile']:16} {row['url'] or '-'}")


@app.command()
def path() -> None:
    """Where the file is."""
    print(profiles.place())
