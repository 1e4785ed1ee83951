"""What a new installation needs: the bootstrap token and the mounts of FILESTORE_BACKENDS_PATH. Asked again at every start."""

import asyncio
import json
from pathlib import Path
from typing import Any

import structlog
import yaml

from api.mounts.register import register_configured
from api.services import Executors
from schema import errors
from schema.settings import Settings
from schema.store import tokens
from schema.store.pool import Pool

log = structlog.get_logger("first-run")


async def prepare(settings: Settings, pool: Pool, executors: Executors) -> None:
    """Tries until Postgres is there; what a mount file says wrong is said once and left out."""
    while True:
        try:
            if settings.bootstrap_token:
                async with pool.connection() as connection:
                    await tokens.ensure_bootstrap(connection, settings.bootstrap_token)
            for entry in read_mounts(settings.backends_path):
                await _register(settings, pool, executors, entry)
            return
        except OSError as error:
            log.error("the mount file can not be read", path=settings.backends_path, error=str(error))
            return
        except Exception as error:
            log.warning("first run waits", error=repr(error))
            await asyncio.sleep(0.5)


async def _register(settings: Settings, pool: Pool, executors: Executors, entry: Any) -> None:
    try:
        await register_configured(settings, pool, executors, entry)
    except errors.FilestoreError as error:
        log.error("a configured mount is refused", mount=entry, code=error.code, message=error.message)


def read_mounts(path: str | None) -> list[Any]:
    """The `mounts` of a YAML or JSON file, or the list it is. Raises OSError."""
    if not path:
        return []
    text = Path(path).read_text(encoding="utf-8")
    found = json.loads(text) if path.endswith(".json") else yaml.safe_load(text)
    entries = found.get("mounts", []) if isinstance(found, dict) else found
    return list(entries or [])
