"""From the command line to an exit code: global flags anywhere, errors as three lines, never a traceback."""

from __future__ import annotations

import os
import shlex
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from filestore_sdk import errors
from filestore_sdk.cli import exits
from filestore_sdk.cli.addresses import NotAnAddress
from filestore_sdk.cli.output import Output
from filestore_sdk.profiles import NoProfile

if TYPE_CHECKING:
    from filestore_sdk._sync.client import Client

FLAGS = {"--json": "json", "--jsonl": "jsonl"}
VALUES = ("--url", "--token", "--profile")


@dataclass
class Session:
    """What every verb gets: the server, and where to print."""

    out: Output
    url: str | None = None
    token: str | None = None
    profile: str | None = None
    yes: bool = False

    @cached_property
    def client(self) -> Client:
        from filestore_sdk._sync.client import Client

        correlation = os.environ.get("FILESTORE_CORRELATION_ID")
        return Client(self.url, self.token, profile=self.profile, correlation_id=correlation)

    def confirm(self, question: str) -> None:
        """Ask before something is destroyed; `--yes` answers, and where nobody can be asked it has to be there."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Stopped(f"{question} Give --yes to answer for a program.", exits.USAGE)
        self.out.warn(f"{question} [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stopped("Nothing was done.", exits.CANCELLED)


class Stopped(Exception):
    """The command ends here, with this code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


_SESSION: ContextVar[Session] = ContextVar("session")


def session() -> Session:
    """The one of the command that runs."""
    return _SESSION.get()


def gathered(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The global flags, wherever they stand before `--`, and what is left."""
    told: dict[str, Any] = {}
    left: list[str] = []
    rest = iter(arguments)
    for one in rest:
        name, equals, value = one.partition("=")
        if one == "--":
            left += [one, *rest]
        elif one in FLAGS:
            told["form"] = FLAGS[one]
        elif one in ("--quiet", "-q"):
            told["quiet"] = True
        elif one in ("--yes", "-y"):
            told["yes"] = True
        elif one == "-0":
            told["zero"] = True
        elif name in VALUES:
            found = value if equals else next(rest, None)
            if found is None:
                raise typer.BadParameter(f"{name} needs a value.")
            told[name[2:]] = found
        else:
            left.append(one)
    return told, left


def _asked(error: typer.TyperException) -> str:
    """The command that the line names: `filestore cp`."""
    context = getattr(error, "ctx", None)
    return "filestore" if context is None else str(context.command_path)


def run() -> None:
    sys.exit(ended(sys.argv[1:]))


def ended(arguments: list[str]) -> int:
    """The exit code of a command line."""
    try:
        told, left = gathered(arguments)
        out = Output(told.pop("form", "text"), quiet=told.pop("quiet", False), zero=told.pop("zero", False))
        return _carried_out(Session(out, **told), left)
    except typer.TyperException as error:
        print(f"error: {error.format_message()}\nnext: `{_asked(error)} --help` tells how.", file=sys.stderr)
        return error.exit_code
    except (NotAnAddress, NoProfile) as error:
        print(f"error: {error}", file=sys.stderr)
        return exits.USAGE
    except Stopped as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        return stopped.code
    except errors.FilestoreError as error:
        told_of(error)
        return exits.code_of(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except (KeyboardInterrupt, typer.Abort):
        print(
            f"\nStopped. The same command goes on where it was:\n  filestore {shlex.join(arguments)}", file=sys.stderr
        )
        return exits.CANCELLED
    except OSError as error:
        name = f" ({os.fsdecode(error.filename)!r})" if error.filename else ""
        print(f"error: {error.strerror or error}{name}", file=sys.stderr)
        return exits.FAILED


def _carried_out(session: Session, arguments: list[str]) -> int:
    from filestore_sdk.cli.app import command

    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    _SESSION.set(session)
    if "_FILESTORE_COMPLETE" in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    result = command()(args=arguments, prog_name="filestore", standalone_mode=False)
    sys.stdout.flush()
    if result == exits.CANCELLED:  # typer makes a number of Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else exits.OK


def told_of(error: errors.FilestoreError) -> None:
    print(f"error: {error.message} [{error.code}]", file=sys.stderr)
    if error.command_id:
        print(f"command: {error.command_id}", file=sys.stderr)
    if error.next_step:
        print(f"next: {error.next_step}", file=sys.stderr)
