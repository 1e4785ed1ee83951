"""Named queries. Each file in this folder holds queries that open with a line `-- name: <name>` and a comment on purpose.

`load("nodes")["children"]` is the text of one. Values go in as parameters only; the type `LiteralString` keeps text from
users out of a query: a checker refuses any string that was put together at run time.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load(noun: LiteralString) -> Mapping[str, LiteralString]:
    """All queries of `<noun>.sql` by name. Raises ValueError for a file without names or with one twice."""
    text = (files(__package__ or __name__) / f"{noun}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    queries = {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    if not queries or len(queries) * 2 != len(parts):
        raise ValueError(f"{noun}.sql: every query needs a name of its own")
    # The files are part of the program, as trustworthy as its source.
    return cast("Mapping[str, LiteralString]", queries)
