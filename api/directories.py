"""POST /v1/directories."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import commands, intake, openapi
from api.auth import admit
from api.front import front_of
from api.models import NewDirectory
from api.routes import Plain
from api.services import Submission
from schema import paths
from schema.commands import CommandKind
from schema.ids import MountId
from schema.principals import authorise

router = APIRouter(route_class=Plain, tags=["commands"])


@router.post(
    "/v1/directories",
    status_code=201,
    operation_id="createDirectory",
    summary="Create a directory",
    description="Its parent must exist. The same key again answers 200 with the same outcome.",
    responses=openapi.answers(
        {201: "Created", 200: "Done before, under the same key", 202: "Still running: see Location"},
        "INVALID_PATH", "FORBIDDEN", "MOUNT_READ_ONLY", "BACKEND_NOT_FOUND", "PARENT_NOT_FOUND", "NODE_EXISTS",
        "NOT_A_DIRECTORY", "IDEMPOTENCY_CONFLICT", "PATH_BUSY", "PAYLOAD_TOO_LARGE", "RATE_LIMITED", "MOUNT_OFFLINE",
        "OUTCOME_UNKNOWN", "STAGE_LOST", "STORAGE_FULL", schema=openapi.named("CommandOutcome"),
    ),
    openapi_extra={
        "parameters": openapi.headers("Idempotency-Key", "Prefer", "X-Request-Id", "traceparent"),
        "requestBody": openapi.body_of(
            NewDirectory, {"backendMountId": 1, "path": "reports/2026", "metadata": {"owner": "finance"}}
        ),
    },
)  # fmt: skip
async def create(request: Request) -> Response:
    principal = await admit(request, "write")
    front = front_of(request)
    body = await intake.read_json(request, NewDirectory)
    path = paths.decode(body.path, body.path_b64)
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    authorise(principal, "write", mount.id, path)
    asked = intake.read_headers(request, body.idempotency_key)
    command = intake.command(CommandKind.CREATE_DIRECTORY, mount.id, path, principal, asked, metadata=body.metadata)
    submission = Submission(
        intake.sealed(command, body.metadata), body.metadata, wait_seconds=intake.wait(front.services.settings, asked)
    )
    return await commands.answer(request, front, submission, 201)
