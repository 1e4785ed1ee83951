"""Open the connection pool. With it come the limits that turn a hung server into an error instead of a hung caller."""

from time import monotonic
from typing import Any, cast
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

_OPTIONS = "-c timezone=UTC -c search_path=filestore -c statement_timeout=20s -c idle_in_transaction_session_timeout=30s -c jit=off"
_GENERIC = (
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off"
)


ANSWER_SECONDS = 25.0
"""How long a server may be silent. One that runs ends a statement earlier (`statement_timeout`); one that is stopped or
cut off keeps its connections open and says nothing."""
_CHECK_SECONDS = 2.0
_CHECK_AFTER_SECONDS = 1.0
_checked: "WeakKeyDictionary[AsyncConnection[DictRow], float]" = WeakKeyDictionary()


class LimitedConnection(AsyncConnection[DictRow]):
    """A connection that gives up on a silent server: OperationalError, and it is closed, because an answer may come yet."""

    answer_seconds = ANSWER_SECONDS

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:  # noqa: ASYNC109
        """What every call to the server goes through. One that brings a limit of its own keeps it."""
        if timeout is not None:
            return await super().wait(gen, interval, timeout)
        begun = monotonic()
        try:
            return await super().wait(gen, interval, self.answer_seconds)
        except OperationalError:
            if monotonic() - begun >= self.answer_seconds:
                self.pgconn.finish()
            raise


async def _check(connection: AsyncConnection[DictRow]) -> None:
    """A connection that answered a moment ago is not asked again; one that did not is replaced by the pool."""
    limited = cast("LimitedConnection", connection)
    if monotonic() - _checked.get(connection, 0.0) > _CHECK_AFTER_SECONDS:
        limited.answer_seconds = _CHECK_SECONDS
        # Sends an empty query: which rows the connection makes is of no matter.
        await AsyncConnectionPool.check_connection(cast("AsyncConnection[Any]", connection))
        _checked[connection] = monotonic()
    # The last user of the connection may have needed another limit.
    limited.answer_seconds = ANSWER_SECONDS


def make_pool(
    url: str,
    *,
    name: str,
    min_size: int = 2,
    max_size: int = 8,
    timeout: float = 3.0,
    generic_plans: bool = False,
) -> Pool:
    """A pool that is not open yet. `timeout`: seconds to wait for a connection before PoolTimeout.

    Connections commit by themselves: a lone statement is one round trip, a transaction says so with `transaction()`.

    `generic_plans`: plan each prepared statement once, by index alone. Right where the same few statements look up lists of
    rows, and planning would cost more than running; a plan made while a table is young must not scan it when it has grown.
    """
    arguments: dict[str, Any] = {
        "row_factory": dict_row,
        "autocommit": True,
        "options": _OPTIONS + (_GENERIC if generic_plans else ""),
        "application_name": name,
        "connect_timeout": 3,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
    }
    return AsyncConnectionPool(
        # Checked when it is handed out: a restarted server costs one round trip, not a failed command.
        url,
        connection_class=LimitedConnection,
        kwargs=arguments,
        min_size=min_size,
        max_size=max_size,
        timeout=timeout,
        open=False,
        name=name,
        check=_check,
        max_lifetime=3600,
        reconnect_timeout=30,
    )
