"""The types of a connection and of a row, for annotations alone: a module that names them must not load the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow as DictRow

    Connection = AsyncConnection[DictRow]
