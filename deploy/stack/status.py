"""What runs, and whether it does its work."""

import os
from collections.abc import Mapping

from deploy.stack import application, nats, postgres, redis, s3, temporal
from deploy.stack.env_file import read_env
from deploy.stack.folder import Folder
from deploy.stack.infrastructure import VARIABLES
from deploy.stack.pids_file import read_pids
from deploy.stack.running import holder


def status(folder: Folder) -> tuple[str, bool]:
    """A table, and whether all of it is well."""
    runs = holder(folder)
    if runs is None:
        return "Filestore does not run here; `make up` starts it.", False
    pids, variables = read_pids(folder.pids), read_env(folder.env)
    addresses = VARIABLES | {"api": "FILESTORE_URL"}
    names = [name for name in (*VARIABLES, "worker", "api") if name in pids or addresses.get(name) in variables]
    health = {name: _health(name, folder, variables) for name in names}
    state = "" if runs.ready else "  (still starting)"
    lines = [f"{'supervisor':<12}{runs.pid:>8}  {os.path.relpath(folder.path)}{state}"]
    for name in names:
        address = variables.get(addresses.get(name, ""), "").rpartition("@")[2]
        lines.append(f"{name:<12}{pids.get(name, '-'):>8}  {health[name]:<10}{address}")
    return "\n".join(lines), runs.ready and all(word == "ok" for word in health.values())


def _health(name: str, folder: Folder, variables: Mapping[str, str]) -> str:
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
        case "worker":
            application.check_worker(folder, variables)
        case "api":
            application.check_api(variables)
