"""Which failures pass by themselves, and which item of a list is to blame for one that does not."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

_PASSING_STATES = ("08", "25P03", "40", "53", "55P03", "57")
"""SQLSTATE prefixes: connection, idle timeout, serialisation and deadlock, resources, lock, shutdown and cancel."""


def passes(error: BaseException) -> bool:
    """True for a failure of the database as a whole: the same statement can succeed a moment later."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_PASSING_STATES)
    # By name: activity modules are light, they do not import the driver.
    return any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)


async def by_halves(
    items: Sequence[Item], run: Callable[[Sequence[Item]], Awaitable[None]]
) -> list[tuple[Item, Exception]]:
    """Run `run` over the list; when that fails for good, over its halves, down to the culprits, which are returned.

    `run` must be one transaction. Raises what passes by itself, so that the whole activity is tried again.
    """
    try:
        await run(items)
    except Exception as error:
        if passes(error):
            raise
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return [*await by_halves(items[:middle], run), *await by_halves(items[middle:], run)]
    return []


async def in_one(
    items: Sequence[Item], run: Callable[[Sequence[Item]], Awaitable[None]]
) -> list[tuple[Item, Exception]]:
    """The same for an atomic list: when it fails for good, all of it does."""
    try:
        await run(items)
    except Exception as error:
        if passes(error):
            raise
        return [(item, error) for item in items]
    return []
