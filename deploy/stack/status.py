"""What runs, and whether it does its work."""

import os
from collections.abc import Callable, Mapping

from deploy.stack import application, nats, postgres, redis, s3, temporal
from deploy.stack.env_file import read_env
from deploy.stack.folder import Folder
from deploy.stack.infrastructure import VARIABLES
from deploy.stack.running import holder
from deploy.stack.s3_request import Account


def read_pids(folder: Folder) -> dict[str, int]:
    """Empty when there is no file."""
    if not folder.pids.exists():
        return {}
    pairs = (line.split() for line in folder.pids.read_text().splitlines())
    return {name: int(pid) for name, pid in pairs}


def status(folder: Folder) -> tuple[str, bool]:
    """A table, and whether all of it is well."""
    runs = holder(folder)
    if runs is None:
        return "Filestore does not run here; `make up` starts it.", False
    pids, variables = read_pids(folder), read_env(folder.env)
    addresses = VARIABLES | {"api": "FILESTORE_URL"}
    names = [name for name in (*VARIABLES, "worker", "api") if name in pids or addresses.get(name) in variables]
    health = {name: _health(name, variables) for name in names}
    state = "" if runs.ready else "  (still starting)"
    lines = [f"{'supervisor':<12}{runs.pid:>8}  {os.path.relpath(folder.path)}{state}"]
    for name in names:
        address = variables.get(addresses.get(name, ""), "").rpartition("@")[2]
        lines.append(f"{name:<12}{pids.get(name, 'not ours'):>8}  {health[name]:<10}{address}")
    return "\n".join(lines), runs.ready and all(word == "ok" for word in health.values())


def _health(name: str, variables: Mapping[str, str]) -> str:
    try:
        _check(name, variables)()
    except Exception as error:  # whatever the part's client raises is the reason
        return f"DOWN: {str(error).strip() or type(error).__name__}  "
    return "ok"


def _check(name: str, variables: Mapping[str, str]) -> Callable[[], None]:
    match name:
        case "postgres":
            return lambda: postgres.check(variables["FILESTORE_DATABASE_URL"])
        case "redis" if variables["REDIS_URL"] != "inline":
            return lambda: redis.check(variables["REDIS_URL"])
        case "nats":
            return lambda: nats.check(variables["NATS_URL"])
        case "s3":
            names = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            return lambda: s3.check(Account(*(variables[variable] for variable in names)))
        case "temporal":
            return lambda: temporal.check(variables)
        case "api":
            return lambda: application.check(variables["FILESTORE_URL"])
    return lambda: None
