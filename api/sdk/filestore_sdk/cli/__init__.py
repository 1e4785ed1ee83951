"""The `filestore` command. Nothing heavy is imported before it is needed: `--help` has to be there at once."""

from __future__ import annotations


def main() -> None:
    from filestore_sdk.cli.run import run

    run()


__all__ = ["main"]
