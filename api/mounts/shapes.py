"""Mounts, as clients read them."""

from datetime import datetime

from api.http.shapes import JsonObject, Pagination, Shape
from api.mounts.bodies import AccessMode, MountKind, MountState


class Leftovers(Shape):
    """What commands have left on the storage and could not be cleared when that was last tried. It is tried again, at least
    every hour; until then the names concerned are busy."""

    stuck: int
    since: datetime
    problem: str


class Retention(Shape):
    """What its trash keeps at most: seconds, and bytes. Null: as the service does."""

    older_than: float | None
    keep_bytes: int | None


class ObjectLock(Shape):
    """What its bucket did with an object that it was told to keep: `legalHold` and `retention` are true where it refused to remove
    it. `defaultMode` and `defaultDays`: how the bucket locks by itself whatever is written to it. `lostAt`: since when it does not
    keep any more what it was seen to keep."""

    enabled: bool
    legal_hold: bool
    retention: bool
    default_mode: str | None
    default_days: int | None
    problem: str | None
    proved_at: datetime
    lost_at: datetime | None


class Mount(Shape):
    """A volume or a bucket. Its secrets are never shown."""

    id: int
    mount_key: str
    backend_kind: MountKind
    access_mode: AccessMode
    state: MountState
    state_reason: str | None
    root_path: str | None
    bucket: str | None
    prefix: str | None
    config: JsonObject
    display_name: str | None
    description: str | None
    contact: str | None
    labels: list[str]
    last_health_check_at: datetime | None
    last_health_status: str | None
    mount_uuid: str
    host_id: str
    epoch: int
    leftovers: Leftovers | None
    object_lock: ObjectLock | None
    retention: Retention
    root_node_id: int | None
    created_at: datetime
    updated_at: datetime


class MountPage(Shape):
    mounts: list[Mount]
    pagination: Pagination
    filters: JsonObject
