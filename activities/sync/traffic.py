"""What went through this process: contents that were put, and read from either store. A read from the cold one is a miss."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Counted by the loop of the routes alone."""

    put_bytes: int = 0
    read_bytes: dict[str, int] = field(default_factory=lambda: {"hot": 0, "cold": 0})
    reads: dict[str, int] = field(default_factory=lambda: {"hot": 0, "cold": 0})

    def was_read(self, store: str, size: int, contents: int = 1) -> None:
        self.read_bytes[store] += size
        self.reads[store] += contents
