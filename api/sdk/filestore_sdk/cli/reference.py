"""docs/clients/cli.md, made of the commands themselves: `python -m filestore_sdk.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from filestore_sdk.cli import exits
from filestore_sdk.cli.app import HELP, command
from filestore_sdk.cli.rows import SCHEMAS

HEAD = """# The `filestore` command

{help}

Results go to standard output, everything else to standard error. `--json` prints one value, `--jsonl` a line for each result; the
fields of a result are listed at the end, and stay. Names that are not UTF-8 come with `<field>B64`. `NO_COLOR` is respected.

```sh
set -a; . .dev/env; set +a
filestore mounts
filestore put README.md demo-local:hello/ -p
filestore ls -l demo-local:hello
filestore history demo-local:hello/README.md --json
```

`put -r`, `get -r` and `sync` carry whole folders. What is there already and equal, by size and SHA-256, does not travel, so the
same command goes on where a Ctrl-C, a crash or a cut line has ended it. A source with a slash at its end (`reports/`,
`docs:reports/`) means what is in it, and not the folder itself. A file that comes is `.filestore-<32 digits>.<n>.part` until it is
whole: `put` leaves such a file out, and `get -r` goes on with it or removes it, unless a process still writes it. `sync --delete`
takes away what the source has not, at most `--max-delete` files, and `--dry-run` shows first what it would do.

What destroys asks on a terminal; programs give `--yes`. `rm`, `mv`, `cp`, `tag` and `undo` have `--dry-run`: the server's own plan.

## How it ends

| code | |
| --- | --- |
{exits}

Another number means failure, too.

## Verbs
"""


def page() -> str:
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in exits.MEANING.items())
    help_text = " ".join(HELP.split())
    parts = [HEAD.format(help=help_text, exits=codes)]
    parts += _verbs(command(), "filestore")
    parts.append("\n## Results\n\n| result | fields |\n| --- | --- |")
    parts += [
        f"| {name} | {', '.join(f'`{field}`' for field in shape['properties'])} |" for name, shape in SCHEMAS.items()
    ]
    return "\n".join(parts) + "\n"


def _verbs(group: Any, name: str) -> Iterator[str]:
    for verb, inner in group.commands.items():
        if hasattr(inner, "commands"):
            yield from _verbs(inner, f"{name} {verb}")
        else:
            yield from _verb(inner, f"{name} {verb}")


def _verb(verb: Any, name: str) -> Iterator[str]:
    arguments = [one for one in verb.params if one.param_type_name == "argument"]
    options = [one for one in verb.params if one.param_type_name == "option"]
    usage = " ".join([name, *(_argument(one) for one in arguments)])
    yield f"\n### `{usage}`\n"
    yield " ".join((verb.help or "").split())
    told = [f"- `{', '.join(one.opts)}`" + (f": {one.help}" if one.help else "") for one in options]
    if told:
        yield ""
        yield from told


def _argument(one: Any) -> str:
    name = (one.metavar or one.name).upper() + ("..." if one.nargs == -1 else "")
    return name if one.required else f"[{name}]"


if __name__ == "__main__":
    print(page(), end="")
