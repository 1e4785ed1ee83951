# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""Large content: resumable uploads (tus 1.0)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import IO, Any

from filestore_sdk import errors, paths
from filestore_sdk._sync import machine
from filestore_sdk._sync.changes import Version, condition
from filestore_sdk._sync.part import AnyMount, Part
from filestore_sdk._sync.sending import Sending
from filestore_sdk.models import Document, Outcome, decode
from filestore_sdk.requests import Request, new_key, wait_before

VERSION = {"Tus-Resumable": "1.0.0"}


class Uploads(Part):
    def upload(
        self, mount: AnyMount, path: paths.AnyPath, source: IO[bytes], size: int, *, overwrite: bool = True,
        if_match: Version = None, metadata: Document | None = None, media_type: str | None = None,
        progress: Callable[[int, int], None] | None = None, key: str | None = None,
        begun: Callable[[str], None] | None = None,
    ) -> Outcome:  # fmt: skip
        """Send `size` bytes of an open file as a resumable upload. `begun` gets its id: `resume_upload` goes on with it
        from another process."""
        id = self.begin_upload(
            mount, path, size, overwrite=overwrite, if_match=if_match, metadata=metadata, media_type=media_type, key=key
        )
        if begun:
            begun(id)
        return self.resume_upload(id, source, size, progress=progress)

    def begin_upload(
        self, mount: AnyMount, path: paths.AnyPath, size: int, *, overwrite: bool = True, if_match: Version = None,
        metadata: Document | None = None, media_type: str | None = None, key: str | None = None,
    ) -> str:  # fmt: skip
        """Announce an upload; its id."""
        told: dict[str, str] = {"backendMountId": str(self.mount_id(mount)), **paths.wire(path)}
        told |= {"overwrite": "true" if overwrite or if_match is not None else "false"}
        told |= {"idempotencyKey": key or new_key()}
        told |= {"metadata": json.dumps(metadata)} if metadata else {}
        told |= {"filetype": media_type} if media_type else {}
        headers = {**VERSION, "Upload-Length": str(size), "Upload-Metadata": _pairs(told)}
        if (version := condition(if_match)) is not None:
            headers["If-Match"] = version
        # Announced twice, it is two uploads and still one command: the key is the command's.
        answer = self._http.answer(Request("POST", "/v1/uploads", headers=headers, key=told["idempotencyKey"]))
        return str(answer.headers["location"].rstrip("/").rpartition("/")[2])

    def resume_upload(
        self, id: str, source: IO[bytes], size: int, *, progress: Callable[[int, int], None] | None = None
    ) -> Outcome:
        """Go on with an upload where the server says it is; `source` is the whole content, from where it stands."""
        base = machine.blocking(source.tell)
        offset, failures = self._offset(id), 0
        while offset < size:
            before = offset
            try:
                offset = self._append(id, offset, source, base, size, progress)
            except (errors.OutcomeUnknown, errors.Unreachable, errors.Passing, errors.VersionConflict) as error:
                machine.sleep(wait_before(failures + 1, getattr(error, "retry_after", None)))
                offset = self._offset(id)
                failures = 0 if offset > before else failures + 1
                if failures > self._http.retries:
                    raise
        return self._file_of(id)

    def _append(
        self, id: str, offset: int, source: IO[bytes], base: int, size: int,
        progress: Callable[[int, int], None] | None,
    ) -> int:  # fmt: skip
        """The rest in one request. The server acknowledges a part of it along the way, and says where it is after a break."""
        headers = {**VERSION, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        told = (lambda sent: progress(offset + sent, size)) if progress else None
        body = Sending(source, base + offset, size - offset, progress=told)
        answer = self._http.answer(Request("PATCH", f"/v1/uploads/{id}", headers=headers, content=body))
        return int(answer.headers["upload-offset"])

    def _offset(self, id: str) -> int:
        answer = self._http.answer(Request("GET", f"/v1/uploads/{id}"))
        standing = answer.json()["data"]
        if error := standing.get("error"):
            raise errors.refusal(0, error, command_id=standing.get("commandId"))
        return int(standing["offset"])

    def _file_of(self, id: str) -> Outcome:
        """What the upload became."""
        failures = 0
        while True:
            standing: dict[str, Any] = self._get(f"/v1/uploads/{id}")
            if error := standing.get("error"):
                raise errors.refusal(0, error, command_id=standing.get("commandId"))
            if outcome := standing.get("outcome"):
                return decode(Outcome, outcome.get("data", outcome))
            if command := standing.get("commandId"):
                return decode(Outcome, self._http.outcome(command))
            failures += 1
            if failures > self._http.retries:
                raise errors.Incomplete(f"The upload {id} has all its bytes and is no file yet.")
            # A server that was killed after the last byte makes it a file when it is asked.
            self._http.answer(Request("HEAD", f"/v1/uploads/{id}", headers=VERSION))
            machine.sleep(wait_before(failures, None))

    def give_up_upload(self, id: str) -> None:
        self._http.answer(Request("DELETE", f"/v1/uploads/{id}", headers=VERSION, key=new_key()))


def _pairs(told: dict[str, str]) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())
