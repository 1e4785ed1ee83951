"""The names of the task queues: two for each mount, and two for what belongs to none."""

from schema.ids import MountId


def mutation_queue(mount: MountId) -> str:
    """Short commands of this mount: workflows and local activities."""
    return f"fs.{mount}.mut"


def bulk_queue(mount: MountId) -> str:
    """Long work of this mount: copies, resumed commands, sweeps."""
    return f"fs.{mount}.bulk"


CONTROL_QUEUE = "fs.control"
"""Work that belongs to no mount: the event feed, and what is pruned."""

ACTS_QUEUE = "fs.acts"
"""Acts that other people have said yes to: API processes do them, which have the routes."""
