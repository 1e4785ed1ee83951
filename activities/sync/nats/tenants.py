"""The hot stores of tenants: one for all where the server knows no accounts, otherwise one in each tenant's account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.sync.hot import HotReader
from activities.sync.nats.audit import STREAM
from activities.sync.nats.link import NatsLink
from activities.sync.nats.store import NatsHot, readable
from schema.errors import NotSupported

if TYPE_CHECKING:
    from activities.sync.nats.accounts import NatsAccounts


_NO_ACCOUNTS = "The hot store has no accounts. Set FILESTORE_NATS_SECRET, and give the server its settings."


class HotAccounts:
    """`HotStores`, each with a connection of its own."""

    def __init__(self, url: str, accounts: NatsAccounts) -> None:
        self._url, self._accounts = url, accounts
        self._stores: dict[str, NatsHot] = {}

    def of(self, tenant: str) -> NatsHot:
        if tenant not in self._stores:
            user = lambda: self._accounts.service(tenant)  # noqa: E731  a token of its own for each connection
            self._stores[tenant] = NatsHot(NatsLink(self._url, user=user, introduce=lambda: self.introduce(tenant)))
        return self._stores[tenant]

    def reader(self, tenant: str, name: str, project: str, seconds: float) -> HotReader:
        streams, subjects = readable(tenant, name, project)
        user = self._accounts.reader(tenant, f"reader of {name}", streams, subjects, seconds)
        return HotReader(_without_user(self._url), user.file, user.inbox, streams, subjects)

    def break_glass(self, tenant: str, seconds: float) -> HotReader:
        user = self._accounts.break_glass(tenant, seconds)
        return HotReader(_without_user(self._url), user.file, user.inbox, (STREAM,), ())

    async def introduce(self, tenant: str) -> None:
        """The server is told of the account. Raises HotUnavailable."""
        link = NatsLink(self._url, user=self._accounts.teller)
        try:
            await link.ask("$SYS.REQ.CLAIMS.UPDATE", self._accounts.tenant(tenant).encode())
        finally:
            await link.close()

    async def close(self) -> None:
        for store in self._stores.values():
            await store.close()


class OneHot:
    """`HotStores` on a server without accounts: subjects alone keep tenants apart."""

    def __init__(self, store: NatsHot) -> None:
        self._store = store

    def of(self, tenant: str) -> NatsHot:
        return self._store

    def reader(self, tenant: str, name: str, project: str, seconds: float) -> HotReader:
        raise NotSupported(_NO_ACCOUNTS)

    def break_glass(self, tenant: str, seconds: float) -> HotReader:
        raise NotSupported(_NO_ACCOUNTS)

    async def close(self) -> None:
        await self._store.close()


def _without_user(url: str) -> str:
    scheme, _, place = url.rpartition("//")
    return f"{scheme}//{place.rpartition('@')[2]}"
