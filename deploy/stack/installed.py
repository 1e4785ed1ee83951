"""Find the servers that wheels put into this environment."""

import importlib.util
import sys
from pathlib import Path

from deploy.stack.part import StartFailed


def script(name: str) -> str:
    """A program that a wheel put beside this interpreter."""
    return _existing(Path(sys.prefix) / "bin" / name)


def inside(package: str, *place: str) -> str:
    """A program that lies in a package. The package is found, not imported: imports of this kind have side effects."""
    spec = importlib.util.find_spec(package)
    root = Path(spec.origin).parent if spec and spec.origin else Path(sys.prefix) / package
    return _existing(root.joinpath(*place))


def _existing(program: Path) -> str:
    if not program.exists():
        raise StartFailed(f"{program.name} is missing from this environment: run `make` to install it")
    return str(program)
