"""The servers under Filestore, each ours unless its variable names one that exists."""

import os
from collections.abc import Collection

from deploy.stack import nats, postgres, redis, s3, temporal
from deploy.stack.folder import Folder
from deploy.stack.part import Part
from deploy.stack.remembered import Remembered

# In order of their start, with the variable that replaces each by an existing server.
VARIABLES = {
    "postgres": "FILESTORE_DATABASE_URL",
    "redis": "REDIS_URL",
    "nats": "NATS_URL",
    "s3": "AWS_ENDPOINT_URL",
    "temporal": "TEMPORAL_ADDRESS",
}


def plan(folder: Folder, remembered: Remembered, only: Collection[str]) -> list[Part]:
    return [_part(name, folder, remembered) for name in VARIABLES if name in only]


def given(parts: Collection[Part]) -> dict[str, str]:
    """The variables under which all these parts are found, ours and existing ones."""
    found: dict[str, str] = {}
    for part in parts:
        if part.process is None:
            found |= {name: os.environ[name] for name in _names(part.name) if name in os.environ}
        found |= part.variables
    return found


def _names(part: str) -> list[str]:
    keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] if part == "s3" else []
    return [VARIABLES[part], *keys]


def _part(name: str, folder: Folder, remembered: Remembered) -> Part:
    environment = dict(os.environ)
    there = environment.get(VARIABLES[name], "")
    if remembered.is_ours(VARIABLES[name], there):
        there = ""
    match name:
        case "postgres":
            return postgres.existing(there) if there else postgres.own(folder, remembered)
        case "redis":
            return redis.existing(there) if there else redis.own(folder, remembered)
        case "nats":
            return nats.existing(there) if there else nats.own(folder, remembered)
        case "s3":
            return s3.existing(there, environment) if there else s3.own(folder, remembered)
        case "temporal":
            return temporal.existing(there, environment) if there else temporal.own(folder, remembered)
    raise ValueError(f"no part is called {name}")
