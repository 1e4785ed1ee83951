"""What a process takes of the machine: as many open files as it may have, and little time to look for garbage."""

import gc
import resource
from contextlib import suppress


def raise_descriptors() -> None:
    """The usual limit of 1024 is for programs that use select(2). The hard limit is what an administrator allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_seldom() -> None:
    """Pages and lists are thousands of small objects that live on for a moment. Python looks through the youngest at every 700th
    by default, which took a fifth of the time of a scan. What is there at the start is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
