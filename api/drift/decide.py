"""A decision about findings: bound to what was shown, and to what lies there now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from activities.drift.hashing import sighted
from activities.drift.observe import LookOrder
from activities.executors.contract.abilities import Keyed
from api.access.keyed import made_earlier, note
from api.drift.bodies import DecisionBody
from api.services import Front
from schema import paths
from schema.drift.acts import DriftKind, FindingState, observed
from schema.drift.decisions import DriftDecision, check_fits
from schema.drift.looks import LookPlace
from schema.errors import InvalidRequest, NotFound, PathBusy, StaleFinding, WrongState
from schema.ids import MountId
from schema.mounts import Mount
from schema.nodes import NodeKind
from schema.principals import Principal, authorise, readable
from schema.store import accept as accept_store
from schema.store import findings as store
from schema.store import looks
from schema.store.conclude import one_snapshot
from schema.store.findings import FindingFilter, ShownFinding
from schema.store.request_keys import KeyedRequest
from workflows.drift.start import audit, heal

_MOST = 1000


async def decide(
    front: Front, principal: Principal, body: DecisionBody, asked: KeyedRequest | None = None
) -> Mapping[str, Any]:
    """`asked`: the same under the same key was decided before, and decides nothing more."""
    if not body.plan_only and (known := await _decided(front, asked)) is not None:
        found = [one for one in await _again(front, principal, known) if readable(principal, one.mount, one.path)]
        return {"decision": body.decision, "decided": True, "findings": [one.document for one in found]}
    shown = await _shown(front, principal, body)
    for one in shown:
        authorise(principal, "reconcile", one.mount, one.path, tree=_is_tree(one))
        check_fits(DriftKind(one.document["kind"]), body.decision)
        if not FindingState(one.document["state"]).stands:
            raise WrongState("It is decided, and over.", id=one.id, state=one.document["state"])
    if not body.plan_only:
        for mount in {one.mount for one in shown}:
            await _decide(front, principal, body, mount, [one for one in shown if one.mount == mount])
        ids = [one.id for one in shown]
        async with front.services.pool.connection() as connection, connection.transaction():
            await note(connection, asked, " ".join(map(str, ids)))
        shown = await _again(front, principal, ids)
    return {"decision": body.decision, "decided": not body.plan_only, "findings": [one.document for one in shown]}


async def _decided(front: Front, asked: KeyedRequest | None) -> list[int] | None:
    """The findings that were decided under this key. Raises IdempotencyConflict."""
    async with front.services.pool.connection() as connection:
        known = await made_earlier(connection, asked)
    return None if known is None else [int(id) for id in known.split()]


def _is_tree(one: ShownFinding) -> bool:
    """A decision about a directory is about what is below it, too."""
    return NodeKind.DIRECTORY in (one.document["believed"].get("kind"), one.document["observed"].get("kind"))


async def _shown(front: Front, principal: Principal, body: DecisionBody) -> list[ShownFinding]:
    if (body.ids is None) == (body.selection is None):
        raise InvalidRequest("Name findings by ids with their versions, or by a selection: one of both.")
    async with front.services.pool.connection() as connection:
        found = await store.listed(connection, principal.tenant, _asked(body), after=0, limit=_MOST)
    found = [one for one in found if readable(principal, one.mount, one.path)]
    wanted = {one.id: one.version for one in body.ids or ()}
    if missing := wanted.keys() - {one.id for one in found}:
        raise NotFound("There are no such findings.", ids=sorted(missing))
    if stale := [
        one.document for one in found if wanted.get(one.id, one.document["version"]) != one.document["version"]
    ]:
        raise StaleFinding(findings=stale)
    return found


def _asked(body: DecisionBody) -> FindingFilter:
    if body.ids is not None:
        return FindingFilter(ids=[one.id for one in body.ids])
    assert body.selection is not None
    path = None if body.selection.path is None else paths.parse(body.selection.path, allow_root=True)
    mount = MountId(body.selection.backend_mount_id)
    return FindingFilter(mount=mount, kinds=body.selection.kinds, states=["open"], path=path)


async def _again(front: Front, principal: Principal, ids: Sequence[int]) -> list[ShownFinding]:
    asked = FindingFilter(ids=ids)
    async with front.services.pool.connection() as connection:
        return await store.listed(connection, principal.tenant, asked, after=0, limit=_MOST)


async def _decide(
    front: Front, principal: Principal, body: DecisionBody, mount: MountId, shown: Sequence[ShownFinding]
) -> None:
    if body.decision is DriftDecision.ACCEPT:
        found = await front.mounts.get(mount, principal.tenant)
        for one in shown:
            await _accept(front, principal, found, one)
        return
    if body.decision is DriftDecision.QUARANTINE:
        shown = await _bucket_directories(front, principal, mount, shown)
    state = FindingState.IGNORED if body.decision is DriftDecision.IGNORE else FindingState.WAITING
    async with front.services.pool.connection() as connection, one_snapshot(connection, mount):
        await _unclaimed(connection, mount, shown)
        await _held(connection, shown)
        await store.decide(
            connection,
            [one.id for one in shown],
            state,
            action=body.decision,
            principal=principal.name,
            until=body.until,
        )
    if state is FindingState.WAITING:
        front.services.start(heal, mount=mount)


async def _bucket_directories(
    front: Front, principal: Principal, mount: MountId, shown: Sequence[ShownFinding]
) -> list[ShownFinding]:
    """In a bucket a directory is nothing but a name: it comes into the record, and a look there sends what it holds out of the
    way. Returns the other findings."""
    found = await front.mounts.get(mount, principal.tenant)
    if not isinstance(front.services.executors.of(found), Keyed):
        return list(shown)
    names = [one for one in shown if one.document["observed"].get("kind") == NodeKind.DIRECTORY]
    for one in names:
        await _accept(front, principal, found, one, DriftDecision.QUARANTINE)
    return [one for one in shown if one not in names]


async def _unclaimed(connection: Any, mount: MountId, shown: Sequence[ShownFinding]) -> None:
    """`dec_claim`: a decision can not overtake a command, or a heal, that is at work there."""
    if busy := await store.claimed(connection, mount, [one.path.raw for one in shown]):
        raise PathBusy(paths=sorted(path.decode("utf-8", "replace") for path in busy))


async def _held(connection: Any, shown: Sequence[ShownFinding]) -> list[store.HeldFinding]:
    """`dec_version`: they are still what was shown."""
    held = await store.lock(connection, [one.id for one in shown])
    versions = {one.id: one.document["version"] for one in shown}
    if any(versions[one.id] != one.version or not one.state.stands for one in held):
        raise StaleFinding("It was decided on, or seen anew, a moment ago. Look at the inbox once more.")
    return held


async def _accept(
    front: Front,
    principal: Principal,
    mount: Mount,
    shown: ShownFinding,
    decision: DriftDecision = DriftDecision.ACCEPT,
) -> None:
    """`dec_bind`: the place is looked at again, and only what the finding says becomes the record. `decision`: about what a
    directory holds."""
    executor = front.services.executors.of(mount)
    now = await front.services.threads.run(mount.id, partial(sighted, executor, shown.path.raw))
    if not _as_shown(observed(now), shown.document["observed"]):
        raise StaleFinding("Another thing lies there now.", observed=observed(now), findings=[shown.document])
    kind = DriftKind(shown.document["kind"])
    async with front.services.pool.connection() as connection:
        look = await looks.begin(
            connection, mount.id, [LookPlace(shown.path.raw, subtree=True)],
            reason=decision, principal=principal.name, whole=False, by_hand=True,
        )  # fmt: skip
        begun = await looks.find(connection, look)
        async with one_snapshot(connection, mount.id):
            await _unclaimed(connection, mount.id, [shown])
            [held] = await _held(connection, [shown])
            if kind is not DriftKind.MOVED:
                await accept_store.accept(connection, begun, held, now)
            await store.decide(connection, [held.id], FindingState.ACCEPTED, action=decision, principal=principal.name)
    front.services.announce()
    if kind is DriftKind.MOVED or now.kind == NodeKind.DIRECTORY:
        order = LookOrder(mount.id, decision, principal.name, True, True, [shown.path.raw.hex()], True)
        front.services.start(audit, order=order)


def _as_shown(now: Mapping[str, Any], was: Mapping[str, Any]) -> bool:
    """Of a directory, which one it is: what it holds goes on changing."""
    if now.get("kind") == NodeKind.DIRECTORY:
        return was.get("kind") == NodeKind.DIRECTORY and now["identity"][:3] == was["identity"][:3]
    return dict(now) == dict(was)
