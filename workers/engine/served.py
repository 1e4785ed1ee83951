"""The mounts this process knows, and an open executor for each it can serve. Refreshed as mounts come and go."""

import threading

from activities.executors.contract.executor import Executor
from activities.executors.kinds import open_executor
from schema import errors
from schema.ids import MountId
from schema.mounts import Mount
from schema.secrets.keyring import PLAIN, Keyring
from schema.store import leftovers as leftover_store
from schema.store import mounts as store
from schema.store.leftovers import Stuck
from schema.store.pool import Pool


class ServedMounts:
    def __init__(self, host_id: str, spool_path: str, keys: Keyring = PLAIN) -> None:
        self._host_id, self._spool_path, self._keys = host_id, spool_path, keys
        self._mounts: dict[MountId, Mount] = {}
        self._executors: dict[MountId, tuple[Mount, Executor]] = {}
        self._referred: dict[MountId, tuple[object, ...]] = {}
        """The files that secrets of open mounts were read from, as they were then"""
        self._guard = threading.Lock()
        self._resting: set[MountId] = set()
        self._stuck: dict[MountId, Stuck] = {}
        self._withheld: dict[tuple[str, str], str] = {}
        """Mounts whose rows may be out of date, by tenant and key, and why: what they point at may be a stranger's"""

    async def refresh(self, pool: Pool) -> list[Mount]:
        """Read the mounts; returns those whose queues this host serves. That goes for object stores too: what waits for its
        visible step lies in the spool of one host, and so do the locks."""
        before = set(self._mounts)
        async with pool.connection() as connection:
            everywhere = await store.every(connection)
            self._resting = await store.resting(connection)
            self._stuck = await leftover_store.stuck(connection)
        for mount in everywhere:
            self.learn(mount)
        for gone in before - {mount.id for mount in everywhere}:
            self._mounts.pop(gone, None)
            self._executors.pop(gone, None)
        self._follow_references()
        return [mount for mount in everywhere if self._is_here(mount)]

    def _follow_references(self) -> None:
        """A mount is opened anew when a file that its secrets refer to was written."""
        for id, before in list(self._referred.items()):
            held = self._executors.get(id)
            if held is None or self._keys.fingerprint(held[0]) != before:
                self._executors.pop(id, None)
                self._referred.pop(id, None)

    def learn(self, mount: Mount) -> None:
        """From any code that read a mount's row. Rows may be read late: an older epoch does not replace a newer one."""
        known = self._mounts.get(mount.id)
        if known is None or known.epoch <= mount.epoch:
            self._mounts[mount.id] = mount

    def withhold(self, tenant: str, key: str, cause: str) -> None:
        """From any thread: this mount is offline until it is released."""
        self._withheld[tenant, key] = cause

    def release(self, tenant: str, key: str) -> None:
        self._withheld.pop((tenant, key), None)

    def rests(self, mount: MountId) -> bool:
        """The mount is switched off, with nothing under way: it may get requests, and refuse them, but has no work."""
        return mount in self._resting

    def removed(self) -> set[MountId]:
        """Mounts without work that are not registered any more."""
        return self._resting.difference(self._mounts)

    def stuck(self, mount: MountId) -> Stuck | None:
        """Leftovers that could not be cleared on the mount, as of a second ago."""
        return self._stuck.get(mount)

    def known(self) -> dict[MountId, Mount]:
        return dict(self._mounts)

    def here(self) -> list[Mount]:
        """From any thread: another one may be learning of a mount meanwhile."""
        return [mount for mount in list(self._mounts.values()) if self._is_here(mount)]

    def _is_here(self, mount: Mount) -> bool:
        return mount.host_id == self._host_id

    def of(self, mount: MountId) -> Executor:
        """Raises ExecutorNotFound, or MountOffline when its storage is not there."""
        known = self._mounts.get(mount)
        if known is None:
            raise errors.ExecutorNotFound(backendMountId=mount)
        if not self._is_here(known):
            raise errors.MountOffline(f"The mount is served on host {known.host_id!r}; send the request there.")
        if cause := self._withheld.get((known.tenant, known.mount_key)):
            raise errors.MountOffline(cause)
        with self._guard:
            held = self._executors.get(mount)
            if held is None or held[0].place != known.place:
                if referred := self._keys.fingerprint(known):
                    self._referred[mount] = referred
                held = self._executors[mount] = known, open_executor(known, self._spool_path, self._keys)
        return held[1]
