"""The `filestore` command as a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from filestore_sdk.cli.rows import SCHEMAS

COMMAND = [sys.executable, "-c", "from filestore_sdk.cli import main; main()"]


@dataclass
class Shell:
    env: dict[str, str]
    folder: Path
    patience: float = 120
    """Seconds"""

    def run(self, *arguments: str | bytes, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*COMMAND, *arguments],
            input=given,
            capture_output=True,
            env=self.env,
            cwd=self.folder,
            timeout=self.patience,
            check=False,
        )

    def text(self, *arguments: str | bytes, code: int = 0, given: bytes = b"") -> str:
        done = self.run(*arguments, given=given)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout.decode(errors="surrogateescape")

    def rows(self, schema: str, *arguments: str) -> list[dict[str, Any]]:
        """The same in both forms of JSON, each result as its schema says."""
        listed = json.loads(self.text(*arguments, "--json"))
        rows = listed if isinstance(listed, list) else [listed]
        for row in rows:
            jsonschema.validate(row, SCHEMAS[schema])
        return rows
