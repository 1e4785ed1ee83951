"""GET /asyncapi.json: every event and every way to follow them, as AsyncAPI 3.0 has it (https://www.asyncapi.com)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from api.events.payloads import EVENTS, OF_STREAMS, EventDefinition
from api.events.queries import StreamQuery
from api.events.shapes import CloudEvent
from api.http.responses import JSON
from api.http.routes import Plain

router = APIRouter(route_class=Plain, include_in_schema=False)

DEFAULT_CHANNEL = "apphub:filestore"
_REF = "#/components/schemas/{model}"
_SERVERS = ("http", "ws", "redis")


@router.get("/asyncapi.json")
async def asyncapi(request: Request) -> Response:
    return Response(rendered(request.app.version), media_type=JSON)


@cache
def rendered(version: str) -> bytes:
    return orjson.dumps(document(version))


def document(version: str) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Filestore events", "version": version,
            "description": "One feed in the order of commits, and the ways to follow it. See docs/http.md.",
        },
        "defaultContentType": JSON,
        "servers": {name: _server(name) for name in _SERVERS},
        "channels": _channels(),
        "operations": {f"follow{_upper(name)}": _operation(name) for name in _channels()},
        "components": {
            "messages": _messages(),
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def message_name(type_: str) -> str:
    """`filestore.node.created` is `nodeCreated`."""
    first, *others = type_.removeprefix("filestore.").split(".")
    return first + "".join(map(_upper, others))


def _upper(name: str) -> str:
    return name[0].upper() + name[1:]


def _server(name: str) -> dict[str, Any]:
    default = "localhost:6379" if name == "redis" else "localhost:8080"
    security = {} if name == "redis" else {"security": [{"$ref": "#/components/securitySchemes/token"}]}
    return {"host": "{host}", "protocol": name, "variables": {"host": {"default": default}}, **security}


# Channels


def _channels() -> dict[str, Any]:
    feed, said = [*EVENTS], [*OF_STREAMS]
    return {
        "stream": _channel("/v1/events/stream", "http", "Server-sent events", [*feed, said[0]]),
        "socket": _channel("/v1/events/ws", "ws", "A WebSocket, a text frame an event", [*feed, *said])
        | {"bindings": {"ws": {"method": "GET", "query": _inlined_query()}}},
        "pages": _channel("/v1/events", "http", "Pages, with long poll", feed),
        "redis": _channel(DEFAULT_CHANNEL, "redis", "Redis, under FILESTORE_EVENTS_CHANNEL", ["redisEnvelope"]),
        "webhooks": _channel(None, None, "POST to the address of a subscription, signed", ["webhookBody"]),
    }


def _channel(address: str | None, server: str | None, title: str, messages: Iterable[str]) -> dict[str, Any]:
    names = [message_name(one) for one in messages]
    servers = {} if server is None else {"servers": [{"$ref": f"#/servers/{server}"}]}
    return {
        "address": address, "title": title, **servers,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }  # fmt: skip


def _operation(channel: str) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}}


def _inlined_query() -> dict[str, Any]:
    """The filters of a socket, without references: a binding stands for itself."""
    properties = StreamQuery.model_json_schema(by_alias=True)["properties"]
    texts = {"type": "string", "description": "Types of events, separated by commas"}
    held = {name: texts if name in ("events", "types") else schema for name, schema in properties.items()}
    return {"type": "object", "properties": held}


# Messages


def _messages() -> dict[str, Any]:
    messages = {message_name(type_): _message(type_, one) for type_, one in (*EVENTS.items(), *OF_STREAMS.items())}
    return messages | {
        "redisEnvelope": _wrapped("A message on the channel", {"origin": {"type": "string"}, "event": _any_event(),
                                  "position": {"type": "integer"}}),
        "webhookBody": _wrapped("The body of a webhook, as Standard Webhooks has it", {"type": {"type": "string"},
                                "timestamp": {"type": "string", "format": "date-time"}, "cursor": {"type": "string"},
                                "data": {"type": "object"}}),
    }  # fmt: skip


def _message(type_: str, defined: EventDefinition) -> dict[str, Any]:
    data = {"$ref": _REF.format(model=defined.data.__name__)}
    place = {"position": {"type": "integer"}, "cursor": {"type": "string"}}
    payload = {
        "type": "object", "required": ["type", "data"],
        "properties": {"type": {"const": str(type_)}, "data": data, **place},
    }  # fmt: skip
    return {"name": str(type_), "title": str(type_), "summary": defined.summary, "payload": payload}


def _any_event() -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"#/components/messages/{message_name(one)}/payload"} for one in EVENTS]}


def _wrapped(summary: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "payload": {"type": "object", "required": [*properties], "properties": {**properties}}}


def _schemas() -> dict[str, Any]:
    models = {one.data for one in (*EVENTS.values(), *OF_STREAMS.values())} | {CloudEvent}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "serialization") for model in ordered], ref_template=_REF)
    return cast("dict[str, Any]", found["$defs"])
