"""What the machine allows a process: as many open files as it may have."""

import resource
from contextlib import suppress


def raise_descriptors() -> None:
    """The usual limit of 1024 is for programs that use select(2). The hard limit is what an administrator allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
