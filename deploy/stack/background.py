"""Run the supervisor detached, and show its words until the stack is ready."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from deploy.stack.folder import Folder


def run_in_background(folder: Folder, argv: list[str]) -> int:
    """Starts `argv` with `--ready-fd N`; returns 0 when it is ready, or its exit code when it gave up."""
    folder.make()
    log = folder.log("supervisor")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    begin = os.fstat(descriptor).st_size
    ready, tell_ready = os.pipe()
    supervisor = subprocess.Popen(
        [sys.executable, *argv, "--ready-fd", str(tell_ready)],
        stdin=subprocess.DEVNULL,
        stdout=descriptor,
        stderr=descriptor,
        pass_fds=[tell_ready],
        start_new_session=True,
    )
    os.close(tell_ready)
    os.close(descriptor)
    try:
        return _relay_until_ready(supervisor, ready, log, begin)
    except KeyboardInterrupt:
        supervisor.terminate()
        return supervisor.wait()


def _relay_until_ready(supervisor: "subprocess.Popen[bytes]", ready: int, log: Path, begin: int) -> int:
    with log.open("rb") as words, open(ready, "rb", buffering=0) as news:
        words.seek(begin)
        while not select.select([news], [], [], 0.1)[0]:
            _relay(words)
        is_ready = news.read() == b"ready"  # or its end was closed by the supervisor's end
        code = 0 if is_ready else supervisor.wait()
        _relay(words)
    if is_ready:
        supervisor.returncode = 0  # it lives on without us, and is not waited for
    return code or (0 if is_ready else 1)


def _relay(words: BinaryIO) -> None:
    sys.stdout.write(words.read().decode(errors="replace"))
    sys.stdout.flush()
