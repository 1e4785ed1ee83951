"""What runs, and whether it does its work."""

import os
from collections.abc import Mapping

from deploy.stack import application, nats, postgres, redis, s3, temporal
from deploy.stack.env_file import read_env
from deploy.stack.folder import Folder
from deploy.stack.infrastructure import VARIABLES
from deploy.stack.pids_file import read_pids
from deploy.stack.process import process_state
from deploy.stack.running import holder

ADDRESSES = (
    VARIABLES
    | {"worker": "FILESTORE_WORKER_URL", "api": "FILESTORE_URL", "watcher": "FILESTORE_URL"}
    | {"consumers": "FILESTORE_CONSUMERS_URL"}
)
WITHOUT_ADDRESS = ("watcher",)  # the API says how it is
# As proc(5) has them. A process in one of these answers no request. An uninterruptible wait for a disk is none of them.
NOT_RUNNING = {"T": "is stopped (SIGSTOP)", "t": "is stopped by a debugger", "Z": "has ended", "": "has ended"}


def status(folder: Folder) -> tuple[str, bool]:
    """A table, and whether all of it is well."""
    runs = holder(folder)
    if runs is None:
        return "Filestore does not run here; `make up` starts it.", False
    pids, variables = read_pids(folder.pids), read_env(folder.env)
    names = _expected(pids, variables)
    health = {name: _health(name, folder, pids, variables) for name in names}
    mounts = _mounts(variables) if health.get("api") == "ok" else {}
    supervisor = NOT_RUNNING.get(process_state(runs.pid), "" if runs.ready else "(still starting)")
    lines = [f"{'supervisor':<12}{runs.pid:>8}  {os.path.relpath(folder.path)}  {supervisor}".rstrip()]
    for name in names:
        variable = "" if name in WITHOUT_ADDRESS else ADDRESSES.get(name, "")
        address = variables.get(variable, "").rpartition("@")[2]
        lines.append(f"{name:<12}{pids.get(name, '-'):>8}  {health[name]:<10}{address}".rstrip())
    lines += [f"{'mount':<12}{'':>8}  {state:<10}{key}" for key, state in mounts.items()]
    return "\n".join(lines), not supervisor and all(word == "ok" for word in (*health.values(), *mounts.values()))


def _expected(pids: Mapping[str, int], variables: Mapping[str, str]) -> list[str]:
    """A part that is dead this moment has no pid, and is expected all the same."""
    return [name for name in ADDRESSES if name in pids or ADDRESSES[name] in variables]


def _mounts(variables: Mapping[str, str]) -> dict[str, str]:
    """`ok` or `DOWN: why`, by the mounts' keys."""
    mounts: Mapping[str, str] = application.readiness(variables["FILESTORE_URL"])["checks"].get("mounts") or {}
    return {key: "ok" if state == "ok" else f"DOWN: {state}  " for key, state in sorted(mounts.items())}


def _health(name: str, folder: Folder, pids: Mapping[str, int], variables: Mapping[str, str]) -> str:
    if name in pids and (why := NOT_RUNNING.get(process_state(pids[name]))):
        return f"DOWN: {why}  "
    try:
        _check(name, folder, variables)
    except KeyError:  # its variables are written once it is ready
        return "starting"
    except Exception as error:  # whatever the part's client raises is the reason
        return f"DOWN: {str(error).strip() or type(error).__name__}  "
    return "ok"


def _check(name: str, folder: Folder, variables: Mapping[str, str]) -> None:
    match name:
        case "postgres":
            postgres.check(variables["FILESTORE_DATABASE_URL"])
        case "redis":
            redis.check(variables["REDIS_URL"])
        case "nats":
            nats.check(variables["NATS_URL"])
        case "s3":
            s3.check(s3.account(variables))
        case "temporal":
            temporal.check(variables)
        case "consumers":
            application.check_consumers(variables)
        case "worker":
            application.check_worker(variables)
        case "watcher":
            application.check_watcher(variables)
        case "api":
            application.check_parts(variables)
            application.check_api(variables)
