"""Build the Temporal CLI from source with Go. `deploy/temporal/` pins every module of it by its hash."""

import fcntl
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.folder import REPOSITORY
from deploy.stack.part import StartFailed
from deploy.stack.process import kill_session
from deploy.stack.say import say

MODULE = REPOSITORY / "deploy" / "temporal"
PACKAGE = "github.com/temporalio/cli/cmd/temporal"
VERSION = "1.8.2"
FLAGS = (
    *("-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", "disable_grpc_modules"),
    *("-ldflags", f"-s -w -X github.com/temporalio/cli/internal/temporalcli.Version={VERSION}"),
)
# The person's own settings must not change what is built.
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
# How often a log, which cannot rewrite its last line as a terminal does, is told that the build lives.
LOG_EVERY_S = 15


def build(program: Path) -> None:
    say(f"first build of the Temporal server (CLI {VERSION}) from source, because no package registry carries it as a")
    say("program: 1,600 Go packages, about 4 minutes on two cores; kept afterwards, for other clones too")
    argv = ["go", "build", "-v", *FLAGS, "-o", str(program), PACKAGE]
    process = subprocess.Popen(
        argv,
        cwd=MODULE,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        lines = _follow(process, began)
    finally:
        kill_session(process.pid)  # does nothing after a build that came to its end
        process.wait()
    if process.returncode != 0:
        raise StartFailed("the Temporal server could not be built:\n" + "\n".join(lines[-15:]))
    say(f"built the Temporal server in {time.monotonic() - began:.0f} s")


@contextmanager
def build_lock(path: Path) -> Iterator[None]:
    """Two stacks that start at once build one after the other."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another stack builds the Temporal server right now: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _follow(process: "subprocess.Popen[bytes]", began: float) -> list[str]:
    """Shows the passing seconds and the build's latest words until it ends; returns all its words."""
    assert process.stderr is not None
    lines = [""]
    said_at = began
    os.set_blocking(process.stderr.fileno(), False)
    with selectors.DefaultSelector() as selector, process.stderr as output:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1):
                words = output.read()
                if words == b"":
                    break
                lines += (words or b"").decode(errors="replace").splitlines()
            if sys.stdout.isatty():
                print(f"\r\x1b[K  {time.monotonic() - began:4.0f} s  {lines[-1][:80]}", end="", flush=True)
            elif time.monotonic() - said_at > LOG_EVERY_S:
                said_at = time.monotonic()
                say(f"  {said_at - began:.0f} s  {lines[-1]}")
    if sys.stdout.isatty():
        print("\r\x1b[K", end="", flush=True)
    return lines
