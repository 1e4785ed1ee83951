"""The story of one stack, from taking its folder to the end of its last process."""

import http.client
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from deploy.stack import application, infrastructure
from deploy.stack.companion import Companion
from deploy.stack.env_file import write_env
from deploy.stack.folder import REPOSITORY, Folder
from deploy.stack.part import Part, StartFailed
from deploy.stack.process import Process, last_lines
from deploy.stack.remembered import Remembered
from deploy.stack.running import FolderLost, hold
from deploy.stack.say import say
from deploy.stack.screen import screen
from deploy.stack.supervisor import StopAsked, Supervisor

# The storage of our own mounts is there by then; what takes longer is away.
MOUNTS_WITHIN_S = 20
EVERYTHING = (*infrastructure.VARIABLES, "application")


@dataclass(frozen=True)
class StackOptions:
    """What a caller asked for."""

    parts: Collection[str] = EVERYTHING
    demo: bool = False  # once per folder
    ready_fd: int | None = None  # told when all is ready
    with_pid: int | None = None  # the stack ends with this process


def run(folder: Folder, wanted: StackOptions) -> int:
    """Runs the stack until it is stopped; returns the exit code. Raises AlreadyRuns."""
    ours = hold(folder)
    remembered = Remembered(folder.remembered, prefer_defaults=folder.is_default)
    companion = Companion(wanted.with_pid)
    try:
        if companion.has_ended():
            raise StartFailed(f"process {wanted.with_pid}, which this stack would belong to, has ended")
        servers = _prepare(folder, wanted, remembered)
    except StopAsked:
        return 0
    except StartFailed as failure:
        return _give_up(failure)
    supervisor = Supervisor(folder, ours, companion)
    try:
        variables = _bring_up(folder, wanted, remembered, servers, supervisor)
        ours.mark_ready()
        print(screen(folder, variables), flush=True)
        if wanted.ready_fd is not None:
            os.write(wanted.ready_fd, b"ready")
            os.close(wanted.ready_fd)
        supervisor.watch()
    except StopAsked:
        return 0
    except StartFailed as failure:
        return _give_up(failure)
    except FolderLost:
        say(f"{folder.path} was removed, moved or replaced: this stack has lost its folder and ends")
        return 1
    finally:
        say("stopping")
        supervisor.stop()
        say("stopped")


def _prepare(folder: Folder, wanted: StackOptions, remembered: Remembered) -> list[Part]:
    """All that can take minutes or be refused comes before the first child, while a signal may simply interrupt us."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_asked)
    servers = infrastructure.plan(folder, remembered, wanted.parts)
    for part in servers:
        part.prepare()
    return servers


def _stop_asked(number: int, frame: FrameType | None) -> None:
    raise StopAsked


def _give_up(failure: StartFailed) -> int:
    say(f"FAILED: {failure}")
    return 1


def _bring_up(
    folder: Folder, wanted: StackOptions, remembered: Remembered, servers: list[Part], supervisor: Supervisor
) -> dict[str, str]:
    """Returns the stack's variables once everything does its work."""
    say("starting " + ", ".join(part.name for part in servers))
    supervisor.start(servers)
    remembered.give_out({name: value for part in servers if part.process for name, value in part.variables.items()})
    variables = infrastructure.given(servers)
    with_application = "application" in wanted.parts
    if with_application:
        variables = application.variables(remembered) | variables
    write_env(folder.env, variables)
    if with_application:
        _start_application(folder, supervisor, variables)
        if wanted.demo and not folder.demo_done.exists():
            _run_demo(folder, supervisor, variables)
    return variables


def _start_application(folder: Folder, supervisor: Supervisor, variables: dict[str, str]) -> None:
    environment = application.environment(folder, variables)
    application.write_backends(folder, variables)
    say("migrating the database")
    migration = application.migration(folder, environment)
    if code := supervisor.run_to_end(migration):
        raise application.migration_failed(code, last_lines(folder.log("migrate"), 15))
    # The worker before the API, so that the API's first answer finds one, and after it at the end: what the API has
    # begun is still done.
    supervisor.start([application.worker(folder, environment)])
    supervisor.start([application.api(folder, environment)])
    supervisor.start([application.watcher(folder, environment), application.consumers(folder, environment)])
    _wait_for_mounts(supervisor, environment)


def _wait_for_mounts(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    """Each process compares the mounts of the configuration with their storage before it serves them: ready is what can be
    used. A mount whose storage is away does not keep the others from being used: it is named."""
    began, amiss = time.monotonic(), {"": ""}
    while amiss and time.monotonic() - began < MOUNTS_WITHIN_S:
        supervisor.wait(0.1)
        with suppress(OSError, http.client.HTTPException):
            amiss = application.mounts_amiss(environment)
    if not amiss:
        say(f"  {'mounts':<10}{', '.join(application.MOUNT_KEYS):<36} ready after {time.monotonic() - began:.1f} s")
    for key, why in amiss.items():
        say(f"  mount {key} can not be used yet: {why}")


def _run_demo(folder: Folder, supervisor: Supervisor, variables: dict[str, str]) -> None:
    """Shows the service at work. Its failure is shown; the stack is still of use."""
    argv = (sys.executable, "-u", str(REPOSITORY / "deploy" / "demo.py"))
    code = supervisor.run_to_end(Process("demo", argv, cwd=REPOSITORY, log=None, env={**os.environ, **variables}))
    if code == 0:
        folder.demo_done.touch()
    else:
        say(f"the demo failed (exit {code}); `make demo` runs it again")
