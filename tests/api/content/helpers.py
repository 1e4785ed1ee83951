"""Files of a test, and what is done to them behind our back."""

import os
from pathlib import Path

from schema.ids import NodeId
from tests.api.conftest import FrontOfTest

TEXT = b"0123456789"


def at(node: NodeId) -> str:
    return f"/v1/files/{node}/content"


def get(front: FrontOfTest, node: NodeId) -> bytes:
    """The request as it stands on the wire, on a connection that ends with it."""
    return (
        f"GET {at(node)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {front.tokens['read']}\r\n\r\n"
    ).encode()


def write_in_place(file: Path) -> None:
    file.write_bytes(b"9876543210")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(TEXT)
    os.rename(other, file)


def open_files(file: Path) -> int:
    """How many descriptors of this process are open on it."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += os.path.samestat(os.stat(f"/proc/self/fd/{descriptor}"), file.stat())
        except OSError:
            continue
    return count
