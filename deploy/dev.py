"""The development stack: real servers, the API and the worker as processes on loopback. `make help` is the short way.

    python deploy/dev.py up [--foreground | --background] [--only postgres,redis,nats,s3,temporal] [--demo]
    python deploy/dev.py stop | status | logs [NAME] [-f] | reset | demo [DATA] | demo-sync | build

Each takes `--dir FOLDER`: a second stack with its own ports and data, beside the one in `.dev`.

`stack/` has one file per server; read `stack/run.py` for the whole story and `stack/supervisor.py` for how it is kept.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy.stack import application, infrastructure
from deploy.stack.background import run_in_background
from deploy.stack.env_file import read_env
from deploy.stack.folder import REPOSITORY, Folder
from deploy.stack.logs import log_names, show_logs
from deploy.stack.part import StartFailed
from deploy.stack.run import EVERYTHING, StackOptions, run
from deploy.stack.running import AlreadyRuns, holder, wait_until_gone
from deploy.stack.status import status
from deploy.stack.temporal_program import find_program

# The longest orderly end: API, worker and servers one after the other, each with its grace.
STOP_WITHIN_S = 90


def main() -> int:
    arguments = _parse()
    folder = Folder(Path(arguments.dir).resolve())
    match arguments.command:
        case "up":
            return up(folder, arguments)
        case "stop":
            return stop(folder)
        case "status":
            table, well = status(folder)
            print(table)
            return 0 if well else 1
        case "logs":
            return logs(folder, arguments.name, follow=arguments.follow)
        case "reset":
            return reset(folder)
        case "demo":
            return demo(folder, arguments.data)
        case "demo-sync":
            return demo_sync(folder)
        case "check":
            return check(folder, arguments.words)
        case "build":
            return build()
    raise AssertionError(arguments.command)


def up(folder: Folder, arguments: argparse.Namespace) -> int:
    if holder(folder):
        return _wait_for_the_other(folder)
    if arguments.background:
        words = ["up", "--foreground", "--dir", str(folder.path)]
        words += ["--only", arguments.only] if arguments.only else []
        words += ["--demo"] if arguments.demo else []
        words += ["--with-pid", str(arguments.with_pid)] if arguments.with_pid else []
        return run_in_background(folder, [__file__, *words])
    try:
        return run(
            folder, StackOptions(_chosen(arguments.only), arguments.demo, arguments.ready_fd, arguments.with_pid)
        )
    except AlreadyRuns:
        return _wait_for_the_other(folder)


def stop(folder: Folder) -> int:
    if holder(folder) is None:
        print("Filestore does not run here.")
    elif not _end_supervisor(folder):
        return 1
    else:
        print("Stopped. The data is kept; `make reset` removes it.")
    return 0


def logs(folder: Folder, name: str | None, *, follow: bool) -> int:
    known = log_names(folder)
    if name and name not in known:
        print(f"There is no log called {name}; there are: {', '.join(known) or 'none'}")
        return 1
    with suppress(KeyboardInterrupt):
        show_logs(folder, [name] if name else known, follow=follow)
    return 0


def reset(folder: Folder) -> int:
    if not _end_supervisor(folder):
        return 1
    folder.remove()
    print(f"Removed the stack's data in {folder.path}.")
    return 0


def demo(folder: Folder, data: str | None) -> int:
    variables = read_env(folder.env)
    if holder(folder) is None or "FILESTORE_URL" not in variables:
        print("Filestore does not run here; `make up` starts it.")
        return 1
    script = str(REPOSITORY / "deploy" / "demo.py")
    words = [sys.executable, script, *([data] if data else [])]
    return _to_its_end(words, {**os.environ, **variables})


def demo_sync(folder: Folder) -> int:
    variables = read_env(folder.env)
    if holder(folder) is None or "FILESTORE_URL" not in variables:
        print("Filestore does not run here; `make up` starts it.")
        return 1
    return _to_its_end([sys.executable, str(REPOSITORY / "deploy" / "demo_sync.py")], {**os.environ, **variables})


def check(folder: Folder, words: list[str]) -> int:
    """The consistency check with the settings that the stack's own API and worker have."""
    variables = read_env(folder.env)
    if holder(folder) is None or "FILESTORE_URL" not in variables:
        print("Filestore does not run here; `make up` starts it.")
        return 3
    argv = [sys.executable, "-m", "workers.check", *words]
    return _to_its_end(argv, application.environment(folder, variables), REPOSITORY)


def _to_its_end(argv: list[str], environment: Mapping[str, str], cwd: Path | None = None) -> int:
    """A Ctrl-C reaches the program too: it ends in its own way, and we wait for that."""
    program = subprocess.Popen(argv, env=environment, cwd=cwd)
    while True:
        try:
            return program.wait()
        except KeyboardInterrupt:
            continue


def build() -> int:
    """What `up` would build first, for a caller that starts many stacks and can not wait for it in each."""
    try:
        find_program()
    except StartFailed as error:
        print(error)
        return 1
    return 0


def _end_supervisor(folder: Folder) -> bool:
    """Whether none runs any more."""
    runs = holder(folder)
    if runs is None:
        return True
    os.kill(runs.pid, signal.SIGTERM)
    if wait_until_gone(folder, STOP_WITHIN_S):
        return True
    print(f"The supervisor (pid {runs.pid}) has not ended within {STOP_WITHIN_S} s: {folder.log('supervisor')}")
    return False


def _wait_for_the_other(folder: Folder) -> int:
    """A second `up` does no harm, and returns like the first: when all is ready."""
    said = False
    while (other := holder(folder)) and not other.ready:
        if not said:
            print(f"Filestore is being started by another process (pid {other.pid}): waiting for it")
        said = True
        time.sleep(0.2)
    if other is None:
        print("The other process gave up; its words are in its terminal or its log.")
        return 1
    url = read_env(folder.env).get("FILESTORE_URL", f"variables in {folder.env}")
    print(f"Filestore already runs (pid {other.pid}): {url}")
    return 0


def _chosen(only: str | None) -> tuple[str, ...]:
    if not only:
        return EVERYTHING
    names = tuple(only.split(","))
    if unknown := set(names) - set(infrastructure.VARIABLES):
        sys.exit(f"--only knows {', '.join(infrastructure.VARIABLES)}; not {', '.join(sorted(unknown))}")
    return names


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The development stack of Filestore.")
    parser.set_defaults(dir=str(REPOSITORY / ".dev"))
    commands = parser.add_subparsers(dest="command", required=True)
    add = {
        "up": commands.add_parser("up", help="start the stack, or say that it runs"),
        "stop": commands.add_parser("stop", help="stop it and keep its data"),
        "status": commands.add_parser("status", help="what runs, and whether it is well"),
        "logs": commands.add_parser("logs", help="the logs of all parts or of one"),
        "reset": commands.add_parser("reset", help="stop it and remove its data"),
        "demo-sync": commands.add_parser("demo-sync", help="two folders as two servers"),
        "demo": commands.add_parser("demo", help="put a folder's files through the service"),
        "check": commands.add_parser("check", help="compare the record with the storage; words after -- go to it"),
        "build": commands.add_parser("build", help="build the Temporal server now, unless there is one"),
    }
    for command in add.values():
        command.add_argument("--dir", default=str(REPOSITORY / ".dev"), help="the stack's folder (default: .dev)")
    how = add["up"].add_mutually_exclusive_group()
    how.add_argument("--foreground", action="store_true", help="stay until Ctrl-C (default)")
    how.add_argument("--background", action="store_true", help="return when all is ready")
    add["up"].add_argument("--only", help="only these servers, comma-separated; then neither API nor worker")
    add["up"].add_argument("--demo", action="store_true", help="run the demo if it has not run in this folder yet")
    add["up"].add_argument(
        "--with-pid", type=int, metavar="PID", help="end when this process has ended, however it did"
    )
    add["up"].add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    add["logs"].add_argument("name", nargs="?")
    add["logs"].add_argument("-f", "--follow", action="store_true")
    add["check"].add_argument("words", nargs="*", help="such as -- --sweep --level content")
    add["demo"].add_argument("data", nargs="?", help="the folder (default: this repository's tracked files)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
