"""One big file up and down, beside `cp` + sync and sha256 of the same file: `python -m tests.bench.transfer [--mib 1024]`.

The upload is hashed, flushed and recorded; the peer copies the file, syncs the copy and hashes it. Downloads are read to
nowhere; the peer reads the same file. Prints the peak resident memory of the API and worker processes.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.commands import filestore, stack

PIECE = 1 << 20


def body_of(source: Path, fields: dict[str, str], boundary: str) -> Iterator[bytes]:
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n'
    yield (head + "Content-Type: application/octet-stream\r\n\r\n").encode()
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield f"\r\n--{boundary}--\r\n".encode()


def upload(url: str, token: str, mount: str, source: Path, path: str) -> tuple[float, int]:
    """Seconds, and the node's id."""
    boundary, fields = "bench-boundary", {"backendMountId": mount, "path": path}
    envelope = sum(len(piece) for piece in body_of(Path(os.devnull), fields, boundary))
    connection = http.client.HTTPConnection(urlsplit(url).netloc, blocksize=PIECE)
    began = time.perf_counter()
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(envelope + source.stat().st_size),
    }
    connection.request("POST", "/v1/files", body=body_of(source, fields, boundary), headers=headers)
    answer = connection.getresponse()
    data = json.loads(answer.read())
    assert answer.status == 201, data
    return time.perf_counter() - began, data["data"]["node"]["id"]


def download(url: str, token: str, node: int) -> float:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, blocksize=PIECE)
    began = time.perf_counter()
    connection.request("GET", f"/v1/files/{node}/content", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    while answer.read(PIECE):
        pass
    return time.perf_counter() - began


def timed(*commands: list[str]) -> float:
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


class Memory:
    """Peak resident memory of the service's processes, sampled."""

    def __init__(self) -> None:
        self.peak: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for status in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    command = status.read_bytes().replace(b"\0", b" ")
                    for name in ("workers.api", "workers.main"):
                        if f"-m {name}".encode() in command:
                            pages = int((status.parent / "statm").read_text().split()[1])
                            self.peak[name] = max(self.peak.get(name, 0), pages * 4096)
                except OSError:
                    continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with stack() as running, tempfile.TemporaryDirectory(prefix="bench-root-") as folder:
        root = Path(folder)
        source = root / "source"
        with source.open("wb") as file:
            for _ in range(given.mib):
                file.write(os.urandom(PIECE))
        figures: dict[str, list[float]] = {"upload": [], "cp + sync + sha256": [], "download": [], "cat": []}
        with filestore(running, root / "mount") as (url, mount, token), Memory() as memory:
            for number in range(given.rounds):
                seconds, node = upload(url, token, mount, source, f"big-{number}")
                figures["upload"].append(seconds)
                copy = str(root / f"copy-{number}")
                figures["cp + sync + sha256"].append(
                    timed(["cp", str(source), copy], ["sync", copy], ["sha256sum", copy])
                )
                figures["download"].append(download(url, token, node))
                figures["cat"].append(timed(["sh", "-c", f"cat {copy} > /dev/null"]))
                os.unlink(copy)
    for name, took in figures.items():
        middle = statistics.median(took)
        print(f"{name:20s} min {min(took):6.2f} s  median {middle:6.2f} s  {given.mib / middle:7.0f} MiB/s")
    up = statistics.median(figures["cp + sync + sha256"]) / statistics.median(figures["upload"])
    print(f"upload runs at {up:.2f} of cp + sync + sha256")
    print({name: f"{peak >> 20} MiB peak" for name, peak in memory.peak.items()})


if __name__ == "__main__":
    main()
