"""All threads and connections that a process may have, in one table. docs/operating.md shows it.

Nothing else makes a pool of threads, and no size of a pool stands anywhere else. The table lies this deep because executors
have threads too. Threads start when they are needed; a size is the most there can be.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from activities.threads import MountThreads


@dataclass(frozen=True, slots=True)
class MountBudget:
    """Daemon threads of each mount, so that a hung disk holds up only its own callers."""

    name: str
    size: int
    purpose: str

    def build(self) -> MountThreads:
        return MountThreads(self.name, self.size)


@dataclass(frozen=True, slots=True)
class CallBudget:
    """Threads that an executor has for requests to a store that are made at once: for as long as `per` says."""

    name: str
    size: int
    per: str
    purpose: str

    def build(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.size, thread_name_prefix=self.name)


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """Connections to Postgres of a process; `name` is their application_name."""

    name: str
    least: int
    size: int
    purpose: str


@dataclass(frozen=True, slots=True)
class ProcessBudget:
    """Processes that one piece of work has beside it."""

    name: str
    size: int
    per: str
    purpose: str


STEPS = MountBudget("steps", 32, "begin, visible steps, leftovers and sweeps of its commands")
COPIES = MountBudget("copies", 8, "copies that are staged, which take long")
STAGES = MountBudget("stages", 8, "stages that are made durable before a list starts")
READS = MountBudget("reads", 8, "downloads, and uploads on their way to their stage")
LOOKS = MountBudget("looks", 1, "whether its storage answers")

API_PER_MOUNT = (STEPS, COPIES, STAGES, READS, LOOKS)
WORKER_PER_MOUNT = (STEPS, COPIES, LOOKS)

S3_READS = CallBudget("s3-read", 16, "mount on S3", "ranges read ahead, of all open files together")
S3_PARTS = CallBudget("s3-parts", 3, "upload", "parts; with the one that gathers, four are in memory")
S3_COPIES = CallBudget("s3-copies", 4, "copy of a big object", "parts that the store copies")
S3_ITEMS = CallBudget("s3-items", 16, "step on a tree", "objects that are copied or deleted at the same time")

S3_CALLS = (S3_READS, S3_PARTS, S3_COPIES, S3_ITEMS)

LISTERS = ProcessBudget("listers", 2, "look at a large tree", "directories that are compared as wholes")

API_CONNECTIONS = ConnectionBudget("filestore-api", 2, 8, "reads of routes, and writes of mounts")
ENGINE_CONNECTIONS = ConnectionBudget("filestore-engine", 4, 12, "commands, events and background work")
CONSUMER_CONNECTIONS = ConnectionBudget("filestore-consumers", 1, 4, "what follows the feed: Metastore and Timestore")
CHECK_CONNECTIONS = ConnectionBudget("filestore-check", 1, 4, "the consistency check")
WATCH_CONNECTIONS = ConnectionBudget("filestore-watch", 1, 4, "hints of watchers, and what the record says of names")

CONNECTIONS = (API_CONNECTIONS, ENGINE_CONNECTIONS, CONSUMER_CONNECTIONS, CHECK_CONNECTIONS, WATCH_CONNECTIONS)
