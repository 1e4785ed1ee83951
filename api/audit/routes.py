"""GET /v1/audit/verify: prove that the journal is what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from activities.audit.copies import copies_of
from api.access.admission import admit
from api.access.issuing import OPERATORS
from api.audit.shapes import AuditProof
from api.http import openapi, responses
from api.http.fields import Query, read_query
from api.http.routes import Plain
from api.services import Front, front_of
from schema.errors import Forbidden, Unavailable
from schema.store import audit, audit_verify

if TYPE_CHECKING:
    from schema.audit.chain import SealCopy, TamperFinding
    from schema.principals import Principal
    from schema.store.audit import Unsealed
    from schema.store.audit_verify import ChainProof
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["audit"])

SECONDS = 8.0
"""After so long the answer says where to go on."""


class AuditQuery(Query):
    cursor: Annotated[str, Field(pattern=r"^\d{1,15}$")] = "0"
    """`nextCursor` of an earlier answer: what was proved there is believed"""


@router.get(
    "/v1/audit/verify",
    operation_id="verifyAudit",
    summary="Prove the journal",
    responses=openapi.answers({200: ("What was found", AuditProof)}, "FORBIDDEN", "OVERLOADED"),
    openapi_extra={"parameters": openapi.query_of(AuditQuery)},
)
async def verify(request: Request) -> Response:
    """Each seal is a hash of the entries behind the one before it, and of that one. Looks whether each entry, each seal, their
    order and the end are what they were, and whether the copies of the seals say the same; names the place where not. For
    administrators of the tenant `main`: the chain is one over all tenants."""
    principal = await admit(request, "audit")
    _check_operator(principal)
    front, query = front_of(request), read_query(AuditQuery, request.query_params)
    proof = await _prove(front, int(query.cursor))
    copies = await _copies(front) if proof.done else []
    compared = await front.reads.run(lambda connection: audit_verify.compare(connection, copies))
    _, unsealed = await front.reads.run(audit.head)
    return responses.data(orjson.dumps(_document(proof, [*proof.findings, *compared], len(copies), unsealed)).decode())


def _check_operator(principal: Principal) -> None:
    """Raises Forbidden."""
    if principal.tenant != OPERATORS:
        raise Forbidden(
            f"Only administrators of the tenant {OPERATORS!r} prove the journal, which is one for all tenants."
        )


async def _prove(front: Front, after: int) -> ChainProof:
    until = monotonic() + SECONDS
    proof = await front.reads.run(lambda connection: audit_verify.start(connection, after))
    while not proof.done and monotonic() < until:
        proof = await front.reads.run(_page_behind(proof))
    return proof


def _page_behind(proof: ChainProof) -> Any:
    async def read(connection: Connection) -> ChainProof:
        return await audit_verify.go_on(connection, proof)

    return read


async def _copies(front: Front) -> Sequence[SealCopy]:
    """Raises Unavailable: a proof without them would say too much."""
    copies = copies_of(front.services.settings)
    try:
        return [] if copies is None else await asyncio.to_thread(copies.read)
    except Exception as error:
        raise Unavailable(
            f"The copies of the seals can not be read: {type(error).__name__}. See FILESTORE_AUDIT_COPIES."
        ) from error


def _document(proof: ChainProof, found: Sequence[TamperFinding], copies: int, unsealed: Unsealed) -> dict[str, Any]:
    return {
        "ok": not found, "seals": proof.seals, "entries": proof.entries, "inArchive": proof.moved,
        "unsealed": unsealed.entries, "unsealedSince": unsealed.since, "copies": copies, "lastSeal": proof.last.number,
        "lastHash": proof.last.hash.hex(), "findings": [asdict(one) for one in found],
        "nextCursor": None if proof.done else str(proof.last.number),
    }  # fmt: skip
