"""Accounts of a NATS server, one for each tenant: what one has no other can name, least of all read.

All keys come from one secret of this service. The server knows the operator's alone; accounts are told to it when they are first
needed, and again after it has lost them. Users are of three kinds: this service in each account, this service where accounts are
told, and readers of one project, who can read its contents and pointer, hear its bell, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.sync.nats.audit import INFO, SHORTENS
from activities.sync.nats.keys import KeyKind, NatsKey

_UNLIMITED: Mapping[str, Any] = {
    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1,
}  # fmt: skip
_STREAMS: Mapping[str, Any] = {
    "mem_storage": 0,
    "disk_storage": -1,
    "streams": -1,
    "consumer": -1,
    "max_ack_pending": -1,
}
_SERVICE_SECONDS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class NatsUser:
    """`inbox`: where its answers come; nobody else may listen there."""

    token: str
    key: NatsKey
    inbox: str = "_INBOX"

    @property
    def file(self) -> str:
        """As NATS' own programs read it."""
        return (
            f"-----BEGIN NATS USER JWT-----\n{self.token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{self.key.seed}\n------END USER NKEY SEED------\n"
        )


class NatsAccounts:
    def __init__(self, secret: bytes, disk_bytes: int = -1) -> None:
        """`disk_bytes`: what each tenant may have on the server's disk."""
        self._secret, self._disk = secret, disk_bytes
        self._operator = NatsKey.derived(KeyKind.OPERATOR, secret)
        self._system = NatsKey.derived(KeyKind.ACCOUNT, secret, "system")

    def settings(self, folder: str) -> str:
        """The part of a server's settings that is about accounts. `folder`: where it keeps those that it is told of."""
        system = self._system.public
        operator = self._operator.token(
            self._operator.public, "filestore", {"type": "operator", "version": 2, "system_account": system}
        )
        account = self._account(self._system, "system", {})
        return (
            f"operator: {operator}\nsystem_account: {system}\n"
            f'resolver {{ type: full, dir: "{folder}", allow_delete: false, interval: "2m" }}\n'
            f"resolver_preload {{ {system}: {account} }}\n"
        )

    def tenant(self, tenant: str) -> str:
        """What the server is told of a tenant's account."""
        return self._account(self._of(tenant), tenant, {**_STREAMS, "disk_storage": self._disk})

    def service(self, tenant: str) -> NatsUser:
        """This service in a tenant's account. It writes the audit stream, and can not shorten it."""
        return _user(self._of(tenant), "filestore", {"pub": {"deny": list(SHORTENS)}}, _SERVICE_SECONDS)

    def break_glass(self, tenant: str, seconds: float) -> NatsUser:
        """The one that can shorten a tenant's audit stream."""
        key = NatsKey.fresh(KeyKind.USER)
        inbox = f"_INBOX_{key.public[:16]}"
        claims = {"pub": {"allow": [*SHORTENS, INFO]}, "sub": {"allow": [f"{inbox}.>"]}}
        return _user(self._of(tenant), "break glass", claims, seconds, key, inbox)

    def teller(self) -> NatsUser:
        """This service where the server is told of accounts."""
        return _user(self._system, "filestore", {"pub": {"allow": ["$SYS.REQ.CLAIMS.UPDATE"]}}, _SERVICE_SECONDS)

    def reader(
        self, tenant: str, name: str, streams: tuple[str, ...], subjects: tuple[str, ...], seconds: float
    ) -> NatsUser:
        """One that reads these streams of a tenant, and hears these subjects. A stream with a subject behind it is that subject's
        last message alone."""
        key = NatsKey.fresh(KeyKind.USER)
        inbox = f"_INBOX_{key.public[:16]}"
        asks = [f"$JS.API.DIRECT.GET.{stream}" for stream in streams]
        claims = {"pub": {"allow": asks}, "sub": {"allow": [*subjects, f"{inbox}.>"]}}
        return _user(self._of(tenant), name, claims, seconds, key, inbox)

    def _of(self, tenant: str) -> NatsKey:
        return NatsKey.derived(KeyKind.ACCOUNT, self._secret, "tenant", tenant)

    def _account(self, key: NatsKey, name: str, streams: Mapping[str, Any]) -> str:
        limits = {**_UNLIMITED, **streams}
        claims = {"limits": limits, "default_permissions": {"pub": {}, "sub": {}}, "type": "account", "version": 2}
        return self._operator.token(key.public, name, claims)


def _user(
    account: NatsKey, name: str, permissions: Mapping[str, Any], seconds: float, key: NatsKey | None = None,
    inbox: str = "_INBOX",
) -> NatsUser:  # fmt: skip
    key = key or NatsKey.fresh(KeyKind.USER)
    claims = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2, **permissions}
    return NatsUser(account.token(key.public, name, claims, seconds), key, inbox)
