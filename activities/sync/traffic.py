"""What went through this process: contents that were put, and read from either store. A read from the cold one is a miss."""

from dataclasses import dataclass, field

PROJECTS_MAX = 10_000


@dataclass(slots=True)
class Traffic:
    """Counted by the loop of the routes alone."""

    put_bytes: int = 0
    read_bytes: dict[str, int] = field(default_factory=lambda: {"hot": 0, "cold": 0})
    reads: dict[str, int] = field(default_factory=lambda: {"hot": 0, "cold": 0})
    by_project: dict[int, dict[str, int]] = field(default_factory=dict)
    """Reads of each, of as many as are kept"""

    def was_read(self, project: int, store: str, size: int, contents: int = 1) -> None:
        self.read_bytes[store] += size
        self.reads[store] += contents
        if project not in self.by_project and len(self.by_project) >= PROJECTS_MAX:
            self.by_project.clear()
        self.by_project.setdefault(project, {"hot": 0, "cold": 0})[store] += contents

    def hit_ratio(self, project: int) -> float | None:
        """The share of its reads that the hot store answered. None: there were none."""
        reads = self.by_project.get(project, {})
        total = sum(reads.values())
        return reads["hot"] / total if total else None
