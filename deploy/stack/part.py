"""One part of the stack: a server that we run, or one that is there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.stack.process import Process


class StartFailed(Exception):
    """A part of the stack did not come up; the message says which and why."""


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    address: str
    # What it adds to the stack's env file.
    variables: Mapping[str, str]
    # Returns when the part does its work, raises whatever its client raises when it does not.
    check: Callable[[], None]
    # None: it runs without us, and we only look at it.
    process: Process | None = None
    # Once, before anything is started: what takes long or can be refused.
    prepare: Callable[[], None] = lambda: None
    # Once, after the first successful check.
    furnish: Callable[[], None] = lambda: None
    ready_within_s: float = 60
