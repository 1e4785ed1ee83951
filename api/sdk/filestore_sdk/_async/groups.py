"""What has a name of its own in the client: mounts, operations, drift, tokens, links."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from filestore_sdk import errors, paths
from filestore_sdk._async import machine
from filestore_sdk._async.part import AnyMount, Part
from filestore_sdk.models import Document, Item, Mount, Operation, decode


class Group:
    def __init__(self, part: Part) -> None:
        self._part = part

    async def _get(self, address: str, /, **params: Any) -> Any:
        return await self._part._get(address, **params)

    async def _change(self, method: str, path: str, body: dict[str, Any], key: str | None = None) -> Any:
        return await self._part._change(method, path, body, key)


class Mounts(Group):
    async def list(self) -> AsyncIterator[Mount]:
        async for mount in self._part._every_mount():
            yield mount

    async def get(self, mount: AnyMount) -> Mount:
        id = await self._part.mount_id(mount)
        return decode(Mount, await self._get(f"/v1/backend-mounts/{id}"))

    async def create(self, **fields: Any) -> Mount:
        """Register a mount: `mountKey`, `backendKind`, `rootPath` or `bucket`, and more, as the server documents them."""
        return decode(Mount, await self._change("POST", "/v1/backend-mounts", fields))

    async def update(self, mount: AnyMount, **fields: Any) -> Mount:
        id = await self._part.mount_id(mount)
        return decode(Mount, await self._change("PATCH", f"/v1/backend-mounts/{id}", fields))


class Operations(Group):
    """Bulk changes over trees: planned, watched, steered, undone."""

    async def start(
        self, kind: str, mount: AnyMount, path: paths.AnyPath = "", *, target: paths.AnyPath | None = None,
        target_mount: AnyMount | None = None, selection: Document | None = None, options: Document | None = None,
        plan_only: bool = False, key: str | None = None, **more: Any,
    ) -> Operation:  # fmt: skip
        """Begin an operation; with `plan_only` it waits as `planned` until `apply`."""
        body: dict[str, Any] = {"kind": kind, "backendMountId": await self._part.mount_id(mount), **paths.wire(path)}
        body |= paths.wire(target, "targetPath") if target is not None else {}
        if target_mount is not None:
            body["targetBackendMountId"] = await self._part.mount_id(target_mount)
        body |= {"selection": selection, "options": options, "planOnly": plan_only or None, **more}
        return decode(Operation, await self._change("POST", "/v1/operations", body, key))

    async def tag(
        self, mount: AnyMount, path: paths.AnyPath = "", *, add: Iterable[str] = (), remove: Iterable[str] = (),
        set: Document | None = None, unset: Iterable[str] = (), selection: Document | None = None,
        options: Document | None = None, plan_only: bool = False, key: str | None = None, **more: Any,
    ) -> Operation:  # fmt: skip
        """Change what the Metastore says of all nodes below a path, or of those that a selection takes. `more`: `owner`,
        `namespace`, `tags`, as for one record; `owner=None` takes the owner away."""
        said = {"addTags": [*add], "removeTags": [*remove], "set": set, "unset": [*unset]}
        record = {name: value for name, value in said.items() if value} | more
        return await self.start(
            "tag", mount, path, selection=selection, options=options, plan_only=plan_only, key=key, record=record
        )

    async def get(self, id: str) -> Operation:
        return decode(Operation, await self._get(f"/v1/operations/{id}"))

    async def list(
        self, *, state: Iterable[str] | None = None, kind: Iterable[str] | None = None, mount: AnyMount | None = None
    ) -> AsyncIterator[Operation]:
        asked = {
            "state": list_of(state),
            "kind": list_of(kind),
            "backendMountId": None if mount is None else await self._part.mount_id(mount),
        }
        async for document in self._part._pages("/v1/operations", "operations", limit=100, **asked):
            yield decode(Operation, document)

    async def items(self, id: str, *, state: Iterable[str] | None = None) -> AsyncIterator[Item]:
        pages = self._part._pages(f"/v1/operations/{id}/items", "items", limit=200, state=list_of(state))
        async for document in pages:
            yield decode(Item, document)

    async def apply(self, id: str) -> Operation:
        return await self._steer(id, "apply")

    async def pause(self, id: str) -> Operation:
        return await self._steer(id, "pause")

    async def resume(self, id: str) -> Operation:
        return await self._steer(id, "resume")

    async def cancel(self, id: str, *, rollback: bool = False) -> Operation:
        return await self._steer(id, "cancel", rollback=rollback or None)

    async def retry(self, id: str, *, items: Iterable[int] | None = None) -> Operation:
        return await self._steer(id, "retry", items=list_of(items))

    async def undo(self, id: str, *, plan_only: bool = False) -> Operation:
        return await self._steer(id, "undo", planOnly=plan_only or None)

    async def undo_changes(
        self, mount: AnyMount | None = None, *, principal: str | None = None, correlation_id: str | None = None,
        commands: Iterable[str] | None = None, path: paths.AnyPath | None = None, since: datetime | None = None,
        until: datetime | None = None, plan_only: bool = False, key: str | None = None,
    ) -> Operation:  # fmt: skip
        """Put back all that a principal, a session or these commands changed, and nothing that others have changed since."""
        chosen: dict[str, Any] = {
            "principal": principal,
            "correlationId": correlation_id,
            "commandIds": list_of(commands),
            "from": since.isoformat() if since else None,
            "to": until.isoformat() if until else None,
            **(paths.wire(path) if path is not None else {}),
        }
        body: dict[str, Any] = {
            "kind": "undo",
            "selection": {name: value for name, value in chosen.items() if value is not None},
            "planOnly": plan_only or None,
            "backendMountId": None if mount is None else await self._part.mount_id(mount),
        }
        return decode(Operation, await self._change("POST", "/v1/operations", body, key))

    async def limit(self, id: str, **options: Any) -> Operation:
        """Change limits while it runs: `concurrency`, `filesPerSecond`, `bytesPerSecond`, `maxErrors`."""
        return decode(Operation, await self._change("PATCH", f"/v1/operations/{id}", {"options": options}))

    async def _steer(self, id: str, verb: str, **body: Any) -> Operation:
        return decode(Operation, await self._change("POST", f"/v1/operations/{id}/{verb}", body))

    async def wait(self, id: str, *, timeout: float | None = None, planned: bool = False) -> Operation:
        """The operation once it has ended (or, with `planned`, once its plan is there). Raises StillRunning."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            found = await self.get(id)
            if found.ended or (planned and found.state not in ("planning", "waiting")):
                return found
            if end is not None and time.monotonic() > end:
                raise errors.StillRunning(f"The operation {id} is {found.state}.", command_id=id)
            await machine.sleep(pause)
            pause = min(2.0, pause * 1.5)


class Drift(Group):
    """What is on the mounts and not in the record."""

    async def list(
        self, *, mount: AnyMount | None = None, state: Iterable[str] | None = None
    ) -> AsyncIterator[Document]:
        id = None if mount is None else await self._part.mount_id(mount)
        async for document in self._part._pages("/v1/drift", "findings", backendMountId=id, state=list_of(state)):
            yield document

    async def get(self, id: int | str) -> Document:
        found: Document = await self._get(f"/v1/drift/{id}")
        return found

    async def decide(self, decision: str, findings: Iterable[Document], **more: Any) -> Document:
        """`accept`, `restore`, `quarantine` or `ignore` these findings, each as it was shown."""
        chosen = [{"id": one["id"], "version": one["version"]} for one in findings]
        body = {"decision": decision, "ids": chosen, **more}
        decided: Document = await self._change("POST", "/v1/drift/decide", body)
        return decided

    async def schedules(self, mount: AnyMount) -> AsyncIterator[Document]:
        """What happens at a mount by the clock, and how it last went."""
        id = await self._part.mount_id(mount)
        found: Document = await self._get(f"/v1/backend-mounts/{id}/schedules")
        for schedule in found["schedules"]:
            yield schedule

    async def steer(self, mount: AnyMount, schedule: str, action: str, *, note: str | None = None) -> Document:
        """`pause`, `resume` or `run` a schedule of a mount, by its id."""
        body = {"id": schedule, "action": action, "note": note}
        id = await self._part.mount_id(mount)
        steered: Document = await self._change("POST", f"/v1/backend-mounts/{id}/schedules", body)
        return steered

    async def reconcile(
        self, mount: AnyMount, path: paths.AnyPath = "", *, reason: str = "manual", below: bool = True
    ) -> Document:
        """Have a place, and all below it, compared with the record; the answer has the id of the job."""
        body: dict[str, Any] = {
            "backendMountId": await self._part.mount_id(mount),
            **paths.wire(path),
            "reason": reason,
            "detectChildren": below,
        }
        started: Document = await self._change("POST", "/v1/reconciliation", body)
        return started


class Tokens(Group):
    async def list(self) -> AsyncIterator[Document]:
        async for document in self._part._pages("/v1/tokens", "tokens"):
            yield document

    async def create(self, principal: str, scopes: Iterable[str], **more: Any) -> Document:
        """A new token; its secret stands in `token` of this answer, and nowhere else."""
        made: Document = await self._change("POST", "/v1/tokens", {"principal": principal, "scopes": [*scopes], **more})
        return made

    async def rotate(self, id: str, **more: Any) -> Document:
        rotated: Document = await self._change("POST", f"/v1/tokens/{id}/rotate", more)
        return rotated

    async def revoke(self, id: str) -> Document:
        revoked: Document = await self._change("POST", f"/v1/tokens/{id}/revoke", {})
        return revoked


class Links(Group):
    async def list(self) -> AsyncIterator[Document]:
        async for document in self._part._pages("/v1/links", "links"):
            yield document

    async def create(self, mount: AnyMount, path: paths.AnyPath, *, kind: str = "read", **more: Any) -> Document:
        body: dict[str, Any] = {
            "backendMountId": await self._part.mount_id(mount),
            **paths.wire(path),
            "kind": kind,
            **more,
        }
        made: Document = await self._change("POST", "/v1/links", body)
        return made

    async def revoke(self, id: str) -> None:
        await self._change("DELETE", f"/v1/links/{id}", {})


def list_of(given: Iterable[Any] | None) -> Any:
    return None if given is None else [*given]
