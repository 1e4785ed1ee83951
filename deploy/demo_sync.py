"""Two folders as two servers: what is written in one is in the other a moment later.

    make demo-sync

Needs FILESTORE_URL and FILESTORE_TOKEN, as `.dev/env` has them. At a terminal the two go on until Ctrl-C: write into either.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy.demonstration.client import DemoClient, DemoRefused
from deploy.stack.folder import REPOSITORY

MOUNT_KEY = "demo-local"
PATIENCE_S = 60.0


def main() -> int:
    try:
        name = make_project(os.environ["FILESTORE_URL"], os.environ["FILESTORE_TOKEN"])
    except KeyError as missing:
        print(f"{missing.args[0]} is not set: use `make demo-sync`, or source .dev/env")
        return 1
    except (DemoRefused, httpx2.HTTPError) as error:
        print(f"the service refused, or does not answer: {error}")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="filestore-sync-"))
    try:
        with nodes(name, folder) as (a, b):
            story(name, a, b)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def make_project(url: str, token: str) -> str:
    name = time.strftime("demo-%Y%m%d-%H%M%S")
    mount = DemoClient(url, token).mount_id(MOUNT_KEY)
    body = {"name": name, "backendMountId": mount}
    answer = httpx2.post(f"{url}/v1/projects", json=body, headers={"authorization": f"Bearer {token}"})
    if answer.status_code != 201:
        raise DemoRefused(answer.text)
    return name


@contextmanager
def nodes(project: str, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Two agents, each with a folder; ended at the end."""
    started = []
    for name in ("server-a", "server-b"):
        (folder / name).mkdir()
        words = [sys.executable, "-m", "workers.sync_node", project, str(folder / name), "--node", name]
        with open(folder / f"{name}.log", "wb") as log:
            started.append(subprocess.Popen(words, cwd=REPOSITORY, stdout=log, stderr=log))
    try:
        yield folder / "server-a", folder / "server-b"
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(timeout=15)


def story(project: str, a: Path, b: Path) -> None:
    print(f"\nProject {project}: {a} and {b}\n")
    (a / "hello.txt").write_text("written on server a\n")
    shown("a file of one server is on the other", lambda: (b / "hello.txt").exists())
    times = sorted(visible(a, b, number) for number in range(20))
    print(
        f"  20 files of 1 KiB, closed here until there: median {median(times) * 1000:.0f} ms, longest {times[-1] * 1000:.0f} ms"
    )
    for number in range(200):
        (b / f"many-{number}").write_bytes(os.urandom(1024))
    shown("200 files the other way", lambda: sum(1 for _ in a.glob("many-*")) == 200)
    (b / "folder").mkdir()
    for path in list(b.glob("many-*")):
        path.rename(b / "folder" / path.name)
    shown("all renamed, and no byte sent again", lambda: sum(1 for _ in a.glob("folder/many-*")) == 200)
    shutil.rmtree(a / "folder")
    shown("deleted", lambda: not (b / "folder").exists())
    print("\nBoth are one:", digest(a) == digest(b))
    if sys.stdout.isatty():
        print("Write into either folder; Ctrl-C ends it.")
        follow(a, b)


def visible(a: Path, b: Path, number: int) -> float:
    """Seconds between the close here and the file there."""
    content = os.urandom(1024)
    (a / f"one-{number}").write_bytes(content)
    begun = time.perf_counter()
    wait(lambda: (b / f"one-{number}").exists())
    return time.perf_counter() - begun


def shown(what: str, done: Callable[[], bool]) -> None:
    begun = time.perf_counter()
    wait(done)
    print(f"  {what}: {(time.perf_counter() - begun) * 1000:.0f} ms")


def wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"it did not come within {PATIENCE_S:.0f} s; see the logs beside the folders")
        time.sleep(0.001)


def follow(a: Path, b: Path) -> None:
    before = ""
    try:
        while True:
            now = f"{a.name}: {digest(a)[:8]}  {b.name}: {digest(b)[:8]}"
            if now != before:
                print(now)
            before = now
            time.sleep(0.3)
    except KeyboardInterrupt:
        print()


def digest(folder: Path) -> str:
    """Of all that is in it."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not name.startswith(".filestore"):
            total.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
    return total.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
