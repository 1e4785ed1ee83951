"""POST /v1/commands: many commands in one request. Each on its own, or one after the other, or all of them or none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from pydantic.types import JsonValue
from starlette.responses import Response

from api.access.admission import admit_any
from api.commands import answer as answers
from api.commands import headers as intake
from api.commands import run as commands
from api.commands.bodies import COMMANDS_MAX, CommandBody, CommandList, Relocation
from api.commands.catalogue import BY_COMMAND, KINDS, CommandEntry
from api.commands.parse import Asker
from api.commands.shapes import BatchResults
from api.http import openapi
from api.http.body import read_json
from api.http.errors import defect, invalid, refusal_of
from api.http.fields import KEY_MAX
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from api.submission import OutcomePending, Submission
from schema.access.actions import CHANGES
from schema.commands.command import Command, Status
from schema.commands.payloads import LIST_MAX
from schema.errors import FilestoreError, InvalidRequest, NotAttempted, from_code

router = APIRouter(route_class=Plain, tags=["commands"])
log = structlog.get_logger(__name__)

LOOKING = 8
"""Commands of one request that may look something up at once: connections are there for others too."""
NUMBER = f"#{COMMANDS_MAX - 1}"
"""The longest that is added to a key of the whole list"""


_EXAMPLE = {
    "mode": "ordered",
    "idempotencyKey": "import-7",
    "commands": [
        {"command": "createDirectory", "backendMountId": 1, "path": "reports/2026"},
        {"command": "moveNode", "backendMountId": 1, "path": "inbox/q3.csv", "targetPath": "reports/2026/q3.csv",
         "ifMatch": "7"},
    ],
}  # fmt: skip
_COMMANDS = openapi.one_of({str(kind.kind): kind.body for kind in KINDS}, "command") | {"maxItems": COMMANDS_MAX}
_BODY = openapi.body_of(CommandList, _EXAMPLE, commands=_COMMANDS)


@dataclass(frozen=True, slots=True)
class Item:
    """One command of the list."""

    index: int
    kind: CommandEntry
    body: CommandBody


class Fate(Enum):
    DONE = "it succeeded"
    FAILED = "it was refused or failed, or its outcome is not known yet"
    RUNNING = "it goes on, and the client does not wait any longer"


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    text: str
    """An element of `results`"""
    fate: Fate


@router.post(
    "/v1/commands",
    operation_id="runCommands",
    summary="Carry out many commands",
    responses=openapi.answers({200: ("An answer for each command", BatchResults)}, "PAYLOAD_TOO_LARGE"),
    openapi_extra={"parameters": openapi.command_parameters("If-Match", "If-None-Match"), "requestBody": _BODY},
)
async def run(request: Request) -> Response:
    """`independent`: up to 1000, at once and in no order. `ordered`: up to 1000, each when the one before it has succeeded;
    after the first that has not, the others are answered `NOT_ATTEMPTED`. `atomic`: up to 64 on one mount that do not
    touch each other's paths; all of them are recorded, or none (a look at the disk meanwhile can show a part of it).

    Each element has the fields that its own route takes, and `ifMatch` and `ifNoneMatch` instead of headers. The answer
    is 200 with one result for each, in their order: the status that it would have had alone, and `data` or `error`. A
    malformed list is refused as a whole, before anything is done."""
    principal = await admit_any(request, CHANGES)
    if "if-match" in request.headers or "if-none-match" in request.headers:
        raise InvalidRequest("A condition is about one command: send it as its `ifMatch` or `ifNoneMatch`.")
    body = await read_json(request, CommandList)
    asked = intake.read_headers(request, body.idempotency_key)
    if asked.key is not None and len(asked.key) + len(NUMBER) > KEY_MAX:
        raise InvalidRequest(f"The key of a list has at most {KEY_MAX - len(NUMBER)} characters.")
    items = [_item(index, command) for index, command in enumerate(body.commands)]
    results = await _MODES[body.mode](Asker(front_of(request), principal, asked), items)
    return Response(f'{{"data":{{"mode":"{body.mode}","results":[{",".join(results)}]}}}}'.encode(), media_type=JSON)


def _item(index: int, command: Mapping[str, JsonValue]) -> Item:
    name = command.get("command")
    kind = BY_COMMAND.get(name) if isinstance(name, str) else None
    if kind is None:
        field = f"commands.{index}.command"
        message = f"one of {', '.join(BY_COMMAND)}"
        raise InvalidRequest(f"{field}: {message}.", fields=[{"field": field, "message": message}])
    try:
        return Item(index, kind, kind.body.model_validate(command))
    except ValidationError as error:
        raise invalid(error, within=f"commands.{index}") from error


# Modes


async def _independent(asker: Asker, items: Sequence[Item]) -> list[str]:
    looking = asyncio.Semaphore(LOOKING)
    answers = await asyncio.gather(*(_attempt(asker, item, looking) for item in items))
    return [answer.text for answer in answers]


async def _ordered(asker: Asker, items: Sequence[Item]) -> list[str]:
    """Strictly one after the other: no command may run after one that failed."""
    settings, loop, looking = asker.front.services.settings, asyncio.get_running_loop(), asyncio.Semaphore(1)
    patience = intake.wait(settings, asker.asked)
    until = loop.time() + (settings.answer_wait_seconds if patience is None else patience)
    results: list[str] = []
    fate = Fate.DONE
    for item in items:
        asked = replace(asker.asked, wait_seconds=max(0.0, until - loop.time()))
        answer = await _attempt(replace(asker, asked=asked), item, looking)
        results.append(answer.text)
        fate = answer.fate
        if fate is not Fate.DONE:
            break
    left = NotAttempted()
    if fate is Fate.RUNNING:
        left = NotAttempted(
            "An earlier command of this list is still running, so this one was not attempted. Nothing was changed by it. "
            "With the same key the whole list can be sent again, and goes on from there."
        )
    return results + [answers.refusal_item(item.index, left) for item in items[len(results) :]]


async def _atomic(asker: Asker, items: Sequence[Item]) -> list[str]:
    _check_atomic(asker, items)
    submissions: list[Submission] = []
    for item in items:
        try:
            submissions.append(await _submission(asker, item))
        except Exception as error:
            return _none_of(items, item, _refusal(asker, error))
    if not submissions:
        return []
    try:
        ended = await asker.front.services.commands.submit_atomic(submissions)
    except OutcomePending as pending:
        ids = pending.whole or [one.request.id for one in submissions]
        return [answers.pending_item(item.index, id) for item, id in zip(items, ids, strict=True)]
    except Exception as error:
        refusal = _refusal(asker, error)
        return [
            answers.refusal_item(item.index, _of_command(refusal, one.request))
            for item, one in zip(items, submissions, strict=True)
        ]
    return [answers.outcome_item(item.index, one, item.kind.success) for item, one in zip(items, ended, strict=True)]


_MODES: Mapping[str, Callable[[Asker, Sequence[Item]], Awaitable[list[str]]]] = {
    "independent": _independent,
    "ordered": _ordered,
    "atomic": _atomic,
}


def _check_atomic(asker: Asker, items: Sequence[Item]) -> None:
    if len(items) > LIST_MAX:
        raise InvalidRequest(f"An atomic list has at most {LIST_MAX} commands.")
    mounts = {item.body.backend_mount_id for item in items}
    mounts |= {item.body.target_backend_mount_id or item.body.backend_mount_id
               for item in items if isinstance(item.body, Relocation)}  # fmt: skip
    if len(mounts) > 1:
        raise InvalidRequest("The commands of an atomic list are all about one mount.", backendMountIds=sorted(mounts))
    keys = [key for item in items if (key := _key(asker, item)) is not None]
    if len(set(keys)) < len(keys):
        raise InvalidRequest("Two commands of this list have the same idempotency key.")


def _none_of(items: Sequence[Item], culprit: Item, error: FilestoreError) -> list[str]:
    others = NotAttempted(
        f"Command {culprit.index} of this list was refused, and the list is atomic. Nothing was changed."
    )
    return [answers.refusal_item(item.index, error if item is culprit else others) for item in items]


# One command


async def _attempt(asker: Asker, item: Item, looking: asyncio.Semaphore) -> ItemAnswer:
    """Whatever happens to one command is its own answer: those of the others must not be lost."""
    try:
        async with looking:
            submission = await _submission(asker, item)
        ended = await commands.carry_out(asker.front, submission)
    except OutcomePending as pending:
        return ItemAnswer(answers.pending_item(item.index, pending.command), Fate.RUNNING)
    except Exception as error:
        return ItemAnswer(answers.refusal_item(item.index, _refusal(asker, error)), Fate.FAILED)
    text = answers.outcome_item(item.index, ended, item.kind.success)
    return ItemAnswer(text, Fate.DONE if ended.status is Status.SUCCEEDED else Fate.FAILED)


async def _submission(asker: Asker, item: Item) -> Submission:
    asked = intake.with_body(replace(asker.asked, key=_key(asker, item)), item.body)
    return await item.kind.submission(replace(asker, asked=asked), item.body)


def _key(asker: Asker, item: Item) -> str | None:
    if item.body.idempotency_key is not None or asker.asked.key is None:
        return item.body.idempotency_key
    return f"{asker.asked.key}#{item.index}"


def _of_command(refusal: FilestoreError, request: Command) -> FilestoreError:
    """Adds what a client needs to ask for this command's outcome later."""
    known = {"commandId": request.id, "idempotencyKey": request.effective_key}
    return from_code(refusal.code, refusal.message, {**known, **(refusal.details or {})})


def _refusal(asker: Asker, error: Exception) -> FilestoreError:
    if (refusal := refusal_of(error)) is not None:
        return refusal
    log.error("a command of a list failed", exc_info=error)
    return defect(asker.asked.request_id)
