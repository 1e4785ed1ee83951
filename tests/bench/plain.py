"""What `mkdir`, `cp` and `mv` cost when each is flushed: a closed loop of threads in one folder, without any service.

    python -m tests.bench.plain <kind> <folder> <clients> <requests>

Kinds: mkdir and upload (made, then flushed with its folder), move and delete (`mv`, to another folder or to a trash; both
folders flushed), copy (`cp`, the copy and its folder flushed). Metadata has no file. Prints one JSON line.
"""

import json
import os
import sys
import uuid
from pathlib import Path

from tests.bench.figures import Figures, in_threads
from tests.bench.load import BODY

KINDS = ("mkdir", "upload", "move", "copy", "delete")


def main(kind: str, folder: Path, clients: int, total: int) -> Figures:
    other = folder / "other"
    other.mkdir(parents=True, exist_ok=True)
    here, there = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (folder, other))

    def write(name: str, content: bytes, place: int) -> None:
        file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=place)
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        os.fsync(place)

    def one(name: str) -> None:
        match kind:
            case "mkdir":
                os.mkdir(name, dir_fd=here)
                os.fsync(here)
            case "upload":
                write(name, BODY, here)
            case "move" | "delete":
                os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)
                os.fsync(here)
                os.fsync(there)
            case "copy":
                with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=here)) as source:
                    write(name, source.read(), there)
            case other:
                raise SystemExit(f"there is no kind {other}")

    names = [uuid.uuid4().hex for _ in range(total)]
    if kind in ("move", "copy", "delete"):
        for name in names:
            (folder / name).write_bytes(BODY)
        os.sync()
    return in_threads(one, names, clients)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
