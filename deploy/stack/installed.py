"""Find the servers that wheels put beside this interpreter."""

import sys
from pathlib import Path

from deploy.stack.part import StartFailed


def installed_program(name: str) -> str:
    program = Path(sys.prefix) / "bin" / name
    if not program.exists():
        raise StartFailed(f"{name} is missing from this environment: run `make` to install it")
    return str(program)
