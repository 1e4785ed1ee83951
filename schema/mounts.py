"""A mount: a configured root whose files are known as nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schema.freezes import Freeze
from schema.ids import MountId


@dataclass(frozen=True, slots=True)
class Mount:
    id: MountId
    tenant: str
    mount_key: str
    mount_uuid: str
    backend_kind: str
    """local or s3"""
    root_path: str | None
    bucket: str | None
    prefix: str | None
    access_mode: str
    """rw or ro"""
    state: str
    host_id: str
    epoch: int
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    secrets: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """As they are stored: sealed, or references. They are opened for the executor alone, and never logged or shown."""
    freeze: Freeze | None = None
    """Nothing is changed on it now"""

    @property
    def place(self) -> tuple[object, ...]:
        """What an executor was opened with: where one of these changes, it is opened anew."""
        return self.epoch, self.root_path, self.bucket, self.prefix, self.config, self.secrets

    @property
    def serving(self) -> bool:
        """The mount takes commands: no administrator switched it off. Each use looks anew whether its disk is there."""
        return self.state in ("active", "degraded")
