"""One of the service's processes with other limits for what stays in its list, noting how long each transaction of `commit` took.

    python -m tests.bench.limited workers.api <nodes> <bytes> <file>

A line in the file for each transaction: when it ended (seconds since the epoch), and its milliseconds.
"""

import runpy
import sys
import time
from collections.abc import Sequence
from typing import Any

from activities.commands.commit import Commit
from schema.commands.decisions import parts


def note_transactions(file: str) -> None:
    record = Commit._record
    notes = open(file, "a", buffering=1)  # noqa: SIM115 - until the process ends

    async def noted(self: Commit, items: Sequence[Any], ending: Any, *, whole: bool = False) -> None:
        began = time.perf_counter()
        try:
            await record(self, items, ending, whole=whole)
        finally:  # one that Postgres gave up took its time too
            notes.write(f"{time.time()} {(time.perf_counter() - began) * 1e3}\n")

    Commit._record = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    module, nodes, size, file = sys.argv[1:]
    parts.TREE_INLINE_NODES, parts.COPY_INLINE_BYTES = int(nodes), int(size)
    note_transactions(file)
    sys.argv[1:] = []
    runpy.run_module(module, run_name="__main__")
