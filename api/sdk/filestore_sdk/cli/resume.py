"""Uploads that a Ctrl-C or a crash cut short: which they were, so that the same command goes on with them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from filestore_sdk import errors, paths
from filestore_sdk.cli.addresses import Remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from filestore_sdk._sync.client import Client
    from filestore_sdk.models import Outcome


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "filestore" / "uploads"


def _note(url: str, mount: int, at: Remote, file: str) -> Path:
    """The same file, unchanged, to the same place."""
    told = os.stat(file)
    parts = [url, mount, paths.exact(at.path).hex(), os.path.abspath(file), told.st_ino, told.st_size, told.st_mtime_ns]
    return _folder() / hashlib.sha256(json.dumps(parts, default=str).encode("utf-8", "surrogateescape")).hexdigest()


def send_large(
    client: Client, at: Remote, file: str, *, overwrite: bool, progress: Callable[[int, int], None] | None
) -> Outcome:
    """A resumable upload that a later call of the same goes on with."""
    note = _note(client._http.url, client.mount_id(at.mount), at, file)
    size = os.stat(file).st_size
    with open(file, "rb") as opened:
        if note.exists():
            try:
                outcome = client.resume_upload(note.read_text(), opened, size, progress=progress)
                note.unlink(missing_ok=True)
                return outcome
            except (errors.Missing, errors.Conflict):
                note.unlink(missing_ok=True)
                opened.seek(0)
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        outcome = client.send(
            at.mount,
            at.path,
            opened,
            size,
            overwrite=overwrite,
            progress=progress,
            begun=note.write_text,  # type: ignore[arg-type]
        )
    note.unlink(missing_ok=True)
    return outcome
