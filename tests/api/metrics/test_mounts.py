"""The health of mounts, and the whole page of a running service."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx2
import pytest

from activities import budgets
from schema import errors
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from tests.api.metrics.helpers import Scraped
from tests.fix_service import MountOfTest, Service
from workers.engine import health
from workers.engine.health import Health
from workers.engine.vitals import _health


class SlowStorage:
    """Stands in for `ServedMounts` and each executor: `check` does what it is told."""

    def __init__(self, checks: Mapping[int, Callable[[], object]]) -> None:
        self._checks = checks
        self.looks: list[int] = []

    def here(self) -> list[Mount]:
        return [mount_of(number) for number in self._checks]

    def of(self, mount: MountId) -> Any:
        storage = self
        self.looks.append(mount)

        class Executor:
            def check(self) -> None:
                storage._checks[mount]()

        return Executor()


def mount_of(number: int, state: str = "active") -> Mount:
    return Mount(MountId(number), "main", f"m{number}", "uuid", "local", "/", None, None, "rw", state, "here", 1)


async def test_a_disk_that_hangs_holds_up_no_other_mount_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> None:
        raise errors.MountOffline("it is away")

    def defect() -> None:
        raise OSError("of another kind")

    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.5)
    gate = threading.Event()
    storage = SlowStorage({1: lambda: None, 2: offline, 3: lambda: gate.wait(60), 4: defect})
    nothing, served = cast("Any", None), cast("Any", storage)
    looking = Health(Settings(), nothing, nothing, served, budgets.LOOKS.build())  # type: ignore[call-arg]

    async def states() -> dict[str, str]:
        return {mount.mount_key: state for mount, state in await looking.mounts()}

    others = {"m1": "ok", "m2": "MOUNT_OFFLINE: it is away", "m4": "Its storage can not be looked at: of another kind."}
    for _ in range(3):
        assert await states() == others | {"m3": "Its storage did not answer within 0.5 s."}
    gate.set()
    while (await states())["m3"] != "ok":
        pass
    await states()
    assert storage.looks.count(1) >= 4 and storage.looks.count(3) <= 3, (
        "while one look hangs no other one waits behind it"
    )


@pytest.mark.parametrize(
    ("state", "storage", "shown"),
    [
        ("active", "ok", "online"), ("active", "MOUNT_OFFLINE: away", "offline"), ("degraded", "ok", "degraded"),
        ("degraded", "MOUNT_OFFLINE: away", "offline"), ("inactive", "ok", "inactive"), ("inactive", "away", "inactive"),
        ("offline", "ok", "offline"), ("error", "ok", "offline"), ("unknown", "ok", "offline"),
    ],
)  # fmt: skip
def test_the_health_of_a_mount(state: str, storage: str, shown: str) -> None:
    assert _health(mount_of(1, state), storage, stuck=0) == shown
    assert _health(mount_of(1, state), storage, stuck=1) == ("degraded" if shown == "online" else shown)


def test_the_running_service_tells_all_of_it(service: Service, mount: MountOfTest) -> None:
    made, refused = service.mkdir(mount, "a"), service.mkdir(mount, "missing/b")
    assert (made.status_code, refused.status_code) == (201, 404)
    with httpx2.Client(timeout=30) as anonymous:
        page = Scraped(anonymous.get(f"{service.url}/metrics").text)
    done = {"kind": "createDirectory", "outcome": "succeeded", "code": "none"}
    assert cast("float", page("filestore_commands_answered_total", **done)) >= 1
    not_done = {"kind": "createDirectory", "outcome": "failed", "code": "PARENT_NOT_FOUND"}
    assert cast("float", page("filestore_commands_answered_total", **not_done)) >= 1
    took = page("filestore_command_duration_seconds_sum", kind="createDirectory", outcome="succeeded")
    assert took is not None and took > 0.001
    assert cast("float", page("filestore_list_commands_count")) >= 2, "two lists, for the two waited for each other"
    assert page("filestore_commands_waiting", tenant="main", mount=mount.key) == 0
    assert page("filestore_commands_in_lists", tenant="main", mount=mount.key) == 0
    assert page("filestore_mount_health", tenant="main", mount=mount.key, health="online") == 1
    up = {name: page("filestore_dependency_up", dependency=name) for name in ("postgres", "temporal", "redis")}
    assert up == {"postgres": 1, "temporal": 1, "redis": 1}
    for pool, most in (("api", 8), ("engine", 12)):
        assert page("filestore_pool_connections_max", pool=pool) == most
        assert cast("float", page("filestore_pool_connections", pool=pool)) >= 1
    assert cast("float", page("filestore_events_positioned_total")) >= 0
    assert service.token not in page.text and "missing" not in page.text
    text = {name for name in page.families if page.families[name].samples == []}
    unlooked = ("filestore_drift_found", "filestore_drift_findings", "filestore_drift_audit_age_seconds")
    unasked = (
        "filestore_watch_",
        "filestore_notif",
        "filestore_quota_",
        "filestore_scrub_",
        "filestore_sync_",
        "filestore_object_lock_",
    )
    without = {name for name in text if not name.startswith((*unasked, *unlooked))}
    assert without == set(), (
        "nothing that a whole process has no samples of; no watcher runs, no bucket sends; no quota, look, project or lock is there"
    )
