"""Make `_sync` of `_async`: `python -m filestore_sdk.unasync [--check]`.

The same words without waiting: one source for both manners. `machine.py` is written by hand for each.
"""

from __future__ import annotations

import io
import sys
import tokenize
from pathlib import Path

HERE = Path(__file__).parent
NAMES = {
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
    "Awaitable": "Callable",
    "AsyncClient": "Client",
    "AsyncHttp": "Http",
    "asynccontextmanager": "contextmanager",
    "aclose": "close",
    "aread": "read",
    "aiter_bytes": "iter_bytes",
    "aiter_raw": "iter_raw",
    "aiter_lines": "iter_lines",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "_async": "_sync",
}
GONE = {"async", "await"}


def sync(source: str) -> str:
    """The source without `async` and `await`, and with the names of the other manner."""
    lines = source.splitlines(keepends=True)
    cuts: dict[int, list[tuple[int, int, str]]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.NAME:
            continue
        row, start = token.start
        if token.string in GONE:
            end = token.end[1]
            line = lines[row - 1]
            cuts.setdefault(row, []).append((start, end + (line[end : end + 1] == " "), ""))
        elif token.string in NAMES:
            cuts.setdefault(row, []).append((start, token.end[1], NAMES[token.string]))
    for row, changes in cuts.items():
        for start, end, instead in reversed(changes):
            lines[row - 1] = lines[row - 1][:start] + instead + lines[row - 1][end:]
    return "".join(lines)


def made() -> dict[Path, str]:
    """Every generated file with its content."""
    sources = sorted((HERE / "_async").glob("*.py"))
    head = "# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.\n"
    return {
        HERE / "_sync" / source.name: head + sync(source.read_text(encoding="utf-8"))
        for source in sources
        if source.name != "machine.py"
    }


def main() -> int:
    wrong = [
        place for place, content in made().items() if not place.exists() or place.read_text(encoding="utf-8") != content
    ]
    if "--check" in sys.argv:
        for place in wrong:
            print(f"{place.name} is not made of _async/{place.name}", file=sys.stderr)
        return 1 if wrong else 0
    for place, content in made().items():
        place.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
