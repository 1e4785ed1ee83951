"""What the tests of a local disk do more than once."""

from pathlib import Path

from schema.errors import NodeNotFound
from schema.paths import NodePath
from tests.executors.conftest import Bench

PROJECT = Path(__file__).parents[3]


def read_or_refused(disk: Bench, path: bytes) -> bytes:
    try:
        content = disk.executor.open(NodePath(path))
    except NodeNotFound:
        return b"refused"
    try:
        return content.read(0, 99)
    finally:
        content.close()
