"""Changing: directories, moves, copies, deletions, metadata, lists of commands. Each call happens exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from filestore_sdk import errors, paths
from filestore_sdk._async.part import AnyMount, Part
from filestore_sdk.models import Command, Document, Outcome, Result, decode

Version = int | str | None


class Changes(Part):
    """`if_match`: only if the node has this version (a number), or this content (an ETag). `key`: an idempotency key of
    your own; by default each call makes one and keeps it through its retries."""

    async def mkdir(
        self, mount: AnyMount, path: paths.AnyPath, *, metadata: Document | None = None, parents: bool = False,
        exist_ok: bool = False, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Make a directory; with `parents` those above it too. Raises NodeExists unless `exist_ok` and it is a directory."""
        if parents and (above := paths.parent(path)):
            await self.makedirs(mount, above)
        body = {"backendMountId": await self.mount_id(mount), **paths.wire(path), "metadata": metadata}
        try:
            return decode(Outcome, await self._change("POST", "/v1/directories", body, key))
        except errors.NodeExists as taken:
            if not exist_ok:
                raise
            return await self._there_already(mount, path, taken)

    async def _there_already(self, mount: AnyMount, path: paths.AnyPath, taken: errors.NodeExists) -> Outcome:
        node = await self._by_path(mount, path)
        if not node.is_directory or node.state == "deleted":
            raise taken
        return decode(Outcome, {"idempotent": True, "node": node.raw, "result": {}})

    async def makedirs(self, mount: AnyMount, path: paths.AnyPath) -> None:
        """A directory and all above it; what is there already stays."""
        missing: list[str] = []
        place = paths.text(path)
        while place and not await self._is_directory(mount, place):
            missing.append(place)
            place = paths.parent(place)
        for one in reversed(missing):
            await self.mkdir(mount, one, exist_ok=True)

    async def _is_directory(self, mount: AnyMount, path: str) -> bool:
        try:
            node = await self._living(mount, path)
        except errors.NodeNotFound:
            return False
        if not node.is_directory:
            raise errors.NotADirectory(f"{paths.shown(path)} is a file.", status=409)
        return True

    async def move(
        self, mount: AnyMount, path: paths.AnyPath, target: paths.AnyPath, *, target_mount: AnyMount | None = None,
        overwrite: bool = False, if_match: Version = None, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Move or rename a file, or a directory with everything below it."""
        return await self._relocate("move", mount, path, target, target_mount, overwrite, if_match, key)

    async def copy(
        self, mount: AnyMount, path: paths.AnyPath, target: paths.AnyPath, *, target_mount: AnyMount | None = None,
        overwrite: bool = False, if_match: Version = None, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Copy a file, or a directory with everything below it."""
        return await self._relocate("copy", mount, path, target, target_mount, overwrite, if_match, key)

    async def _relocate(
        self, verb: str, mount: AnyMount, path: paths.AnyPath, target: paths.AnyPath, target_mount: AnyMount | None,
        overwrite: bool, if_match: Version, key: str | None,
    ) -> Outcome:  # fmt: skip
        body = {
            "backendMountId": await self.mount_id(mount),
            **paths.wire(path),
            **paths.wire(target, "targetPath"),
            "targetBackendMountId": None if target_mount is None else await self.mount_id(target_mount),
            "overwrite": overwrite or None,
            "ifMatch": condition(if_match),
        }
        return decode(Outcome, await self._change("POST", f"/v1/nodes/{verb}", body, key))

    async def delete(
        self, mount: AnyMount, path: paths.AnyPath, *, recursive: bool = False, if_match: Version = None,
        key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Delete a file or a directory; its content stays in the trash for a while. Deleting again is no error."""
        body = {
            "backendMountId": await self.mount_id(mount),
            **paths.wire(path),
            "recursive": recursive or None,
            "ifMatch": condition(if_match),
        }
        return decode(Outcome, await self._change("DELETE", "/v1/nodes", body, key))

    async def restore(
        self, mount: AnyMount, path: paths.AnyPath, *, version: int | None = None, target: paths.AnyPath | None = None,
        key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Bring back what was deleted last at a path, or the content of an older version of what lies there."""
        body: dict[str, Any] = {"backendMountId": await self.mount_id(mount), "version": version}
        body |= paths.wire(path)
        body |= paths.wire(target, "targetPath") if target is not None else {}
        return decode(Outcome, await self._change("POST", "/v1/nodes/restore", body, key))

    async def describe(
        self, mount: AnyMount, path: paths.AnyPath, *, set: Document | None = None, unset: Iterable[str] = (),
        if_match: Version = None, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Set and unset keys of a node's metadata; the others stay."""
        body: dict[str, Any] = {
            "backendMountId": await self.mount_id(mount),
            **paths.wire(path),
            "set": set or None,
            "unset": list(unset) or None,
            "ifMatch": condition(if_match),
        }
        return decode(Outcome, await self._change("POST", "/v1/commands/update-metadata", body, key))

    async def batch(
        self, commands: Iterable[Mapping[str, Any]], *, mode: str = "independent", key: str | None = None
    ) -> list[Result]:
        """Many commands in one request, each with its own result. `mode`: `independent`, `ordered` or `atomic`. A command is
        `{"command": "moveNode", "backendMountId": 1, ...}` as the server documents it; `path`s may be any path."""
        sent = [_command(one) for one in commands]
        answer = await self._change("POST", "/v1/commands", {"mode": mode, "commands": sent}, key)
        return [_result(one) for one in answer["results"]]

    async def command(self, command_id: str) -> Command:
        """How a command stands."""
        return decode(Command, await self._get(f"/v1/commands/{command_id}"))

    async def wait(self, command_id: str, timeout: float | None = None) -> Outcome:
        """The outcome of a command, once it has ended. Raises its refusal; StillRunning after `timeout` seconds."""
        return decode(Outcome, await self._http.outcome(command_id, timeout))

    async def again(self, error: errors.OutcomeUnknown) -> Outcome:
        """Send a change whose outcome is unknown again, with its own key: it happens at most once."""
        return decode(Outcome, await self._http.data(error.request))


def condition(version: Version) -> str | None:
    return None if version is None else str(version)


def _command(given: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in given.items() if name not in ("path", "targetPath")}
    for field in ("path", "targetPath"):
        if given.get(field) is not None:
            told |= paths.wire(given[field], field)
    return told


def _result(document: Mapping[str, Any]) -> Result:
    status, data = document["status"], document.get("data")
    error = document.get("error")
    refused = None if error is None else errors.refusal(status, error, retry_after=document.get("retryAfter"))
    outcome = decode(Outcome, data) if data is not None and status != 202 else None
    command_id = (data or {}).get("commandId")
    return Result(document["index"], status, outcome, refused, command_id)
