"""Open the connection pool. With it come the limits that turn a hung server into an error instead of a hung caller."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

_OPTIONS = "-c timezone=UTC -c search_path=filestore -c statement_timeout=20s -c idle_in_transaction_session_timeout=30s"


def make_pool(url: str, *, name: str, min_size: int = 2, max_size: int = 8, timeout: float = 3.0) -> Pool:
    """A pool that is not open yet. `timeout`: seconds to wait for a connection before PoolTimeout."""
    arguments: dict[str, Any] = {
        "row_factory": dict_row,
        "options": _OPTIONS,
        "application_name": name,
        "connect_timeout": 3,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
    }
    return AsyncConnectionPool(
        url, kwargs=arguments, min_size=min_size, max_size=max_size, timeout=timeout, open=False, name=name,
        check=None, max_lifetime=3600, reconnect_timeout=30,
    )
