"""The verbs, gathered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from filestore_sdk.cli import admin, change, config, follow, look, ops, transfer

HELP = """Files on Filestore's mounts: look, change, transfer, follow, undo.

A place is written mount:path (docs:reports/a.csv). These flags work anywhere: --json, --jsonl, --quiet, --yes, -0 (names end
with NUL), --url, --token, --profile. Otherwise FILESTORE_URL, FILESTORE_TOKEN or `filestore config` say where the server is."""


def application() -> typer.Typer:
    app = typer.Typer(
        help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    for verbs in (look, change, transfer, follow, admin):
        verbs.add(app)
    app.add_typer(ops.app, name="ops")
    app.add_typer(config.app, name="config")
    return app


def command() -> Callable[..., Any]:
    """The whole command line, ready to run."""
    return typer.main.get_command(application())
