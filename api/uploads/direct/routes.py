"""POST /v1/uploads/presign: a link under which a bucket takes one content; POST /v1/uploads/{id}/complete: it is a file then."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.executors.contract.direct import direct_uploads_of
from api.access.admission import admit
from api.commands import answer as answers
from api.commands import catalogue
from api.commands import headers as intake
from api.commands.catalogue import UPLOAD_REFUSALS
from api.commands.fingerprint import headed, spelled
from api.http import digests as checksums
from api.http import openapi
from api.http.body import read_json
from api.http.media import mime
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import Front, front_of
from api.submission import OutcomePending
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.bodies import DirectUpload
from api.uploads.described import COMPLETION_PARAMETERS, LINK_EXAMPLE, LINK_PARAMETERS
from api.uploads.direct import completion
from api.uploads.room import check_room
from api.uploads.shapes import UploadLink
from api.uploads.spool import refuse_impossible
from schema import paths
from schema.commands.command import CommandKind
from schema.errors import InvalidChecksum
from schema.ids import CommandId, new_command_id
from schema.mounts import Mount
from schema.principals import Principal
from schema.store import uploads as store
from schema.store.uploads import NewUpload
from schema.uploads import Announcement

router = APIRouter(route_class=Plain, tags=["uploads"])


@router.post(
    "/v1/uploads/presign",
    status_code=201,
    operation_id="presignUpload",
    summary="A link to put a file into a bucket",
    responses=openapi.answers({201: ("The link", UploadLink)}, "NOT_SUPPORTED", *UPLOAD_REFUSALS),
    openapi_extra={"parameters": LINK_PARAMETERS, "requestBody": openapi.body_of(DirectUpload, LINK_EXAMPLE)},
)
async def presign(request: Request) -> Response:
    """A client with the link can put exactly this content into the mount's bucket, until it expires and without a token.
    Nothing is visible of it before POST /v1/uploads/{id}/complete makes it a file. `headers` are part of the signature and
    have to be sent as they are. Conditions, key, metadata and `overwrite` are those of the file to come. Only for S3
    mounts; the others take bytes at /v1/files and /v1/uploads."""
    principal = await admit(request, "write")
    front = front_of(request)
    parsed = await read_json(request, DirectUpload)
    expires = datetime.now(UTC) + timedelta(seconds=parsed.expires_in)
    mount, sha256, new = await _announced(request, front, principal, parsed, expires)
    executor = front.services.executors.of(mount)
    link = await front.threads.run(
        mount.id,
        direct_uploads_of(executor).presign_stage,
        CommandId(new.id),
        parsed.size_bytes,
        sha256,
        parsed.expires_in,
    )
    keep = parsed.expires_in + front.services.settings.upload_keep_seconds
    async with front.services.pool.connection() as connection, connection.transaction():
        await store.create(connection, new, keep, standing.allowance(front.services.settings))
    told_back = {
        "uploadId": new.id,
        "url": link.url,
        "method": "PUT",
        "headers": dict(link.headers),
        "expiresAt": _shown(expires),
        "completeUrl": f"{standing.address(new.id)}/complete",
        "completeBefore": _shown(datetime.now(UTC) + timedelta(seconds=keep)),
    }
    # The link is as good as a token for this one content: no cache on the way may keep it.
    headers = {"cache-control": "no-store", "location": standing.address(new.id)}
    return Response(orjson.dumps({"data": told_back}), 201, headers, JSON)


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


async def _announced(
    request: Request, front: Front, principal: Principal, parsed: DirectUpload, expires: datetime
) -> tuple[Mount, bytes, NewUpload]:
    """Where it goes, what it hashes to, and what is remembered of it."""
    sha256, path = _sha256(parsed), paths.decode(parsed.path, parsed.path_b64)
    mount = await incoming.open_mount(front, principal, parsed.backend_mount_id, path)
    refuse_impossible(front, mount, path, parsed.size_bytes)
    await check_room(front, principal, mount.id, path, parsed.size_bytes)
    asked = intake.with_body(intake.read_headers(request, None), parsed)
    command = intake.command(
        CommandKind.UPLOAD, mount.id, path, principal, asked, metadata=parsed.metadata,
        overwrite=incoming.overwrites(asked, parsed.overwrite),
    )  # fmt: skip
    command = headed(replace(command, mime_type=mime(parsed.content_type or "")), spelled(parsed.metadata))
    announced = Announcement(
        kind="direct", command=command, metadata=parsed.metadata, claimed=(f"sha256:{sha256}",), until=expires
    )
    new = NewUpload(
        str(new_command_id()), principal.tenant, principal.name, mount.id, path, parsed.size_bytes, announced
    )
    return mount, bytes.fromhex(sha256), new


def _sha256(parsed: DirectUpload) -> str:
    """Raises InvalidChecksum."""
    found = checksums.read(parsed.content_hash)
    if found.algorithm != "sha256" or not found.whole:
        raise InvalidChecksum("contentHash is `sha256:` followed by 64 hexadecimal digits.")
    return found.hex


@router.post(
    "/v1/uploads/{id}/complete",
    status_code=201,
    operation_id="completeUpload",
    summary="Make what was put into a bucket a file",
    responses=catalogue.answers(201, "NOT_SUPPORTED", "NOT_FOUND", "CONTENT_EXPIRED", *UPLOAD_REFUSALS),
    openapi_extra={"parameters": COMPLETION_PARAMETERS},
)
async def complete(request: Request) -> Response:
    """What was put under the link is proven to be the content that was announced, then it takes the way of every upload, with
    the conditions and the key from the announcement. Asked again it is the same outcome. A refusal that can pass leaves
    the content where it is: ask again."""
    principal = await admit(request, "write")
    front = front_of(request)
    upload = await standing.find(front, principal, str(request.path_params["id"]).lower(), direct=True)
    try:
        ended = await completion.complete(request, front, principal, upload)
    except OutcomePending as pending:
        return answers.pending(pending.command)
    return answers.outcome(request, ended, 201)
