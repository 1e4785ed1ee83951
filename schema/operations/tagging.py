"""What becomes of the records of nodes: which of them change, how they change, and which are not as the plan saw them. Pure.

A record has versions of its own: they count what is said, not what becomes of the node. An item goes only from the version that
the plan saw, and only at the path that it named: what was moved may be where the operation's token says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schema.errors import FilestoreError, InvalidRequest
from schema.ids import MountId, NodeId
from schema.metastore.namespaces import Rule, settle
from schema.metastore.records import Description, RecordEdit
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.selection import PlannedNode
from schema.paths import NodePath

NOT_NEEDED = "The record says so already."
MOVED_ON = "The record, or the place of its node, is not as it was. Make a new plan to see it."


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as it is, and what is said of it. `version`: of the record; a node without one has what its record will begin with."""

    node: NodeId
    mount: MountId
    path: NodePath
    gone: bool
    described: Description
    version: int
    rule: Rule | None
    known: bool
    """There is a record"""
    said: int
    """The version since which it says this: later ones were closed and opened again with the node"""


@dataclass(frozen=True, slots=True)
class FormerRecord:
    """What a record said at a version. `closed`: a client had closed it."""

    described: Description
    closed: bool


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """What a record says from now on."""

    now: Description
    violation: str | None = None
    closed: bool = False


def edited(record: NodeRecord, edit: RecordEdit) -> RecordEnd | None:
    """None: it says so already. Raises InvalidRequest."""
    now = edit.of(record.described)
    settled = settle(now.namespace, record.rule, asked=edit.namespace is not None)
    now = replace(now, namespace=settled.namespace)
    return None if now == record.described else RecordEnd(now, settled.violation)


def put_back(record: NodeRecord, former: FormerRecord) -> RecordEnd:
    """Raises InvalidRequest: a rule corrects what is said here since, so it can not be what it was."""
    settled = settle(former.described.namespace, record.rule, asked=False)
    if settled.namespace != former.described.namespace:
        raise InvalidRequest(
            f"Records at this path are put into the namespace {settled.namespace!r} since. It is left."
        )
    return RecordEnd(former.described, settled.violation, former.closed)


def planned(operation: Operation, node: PlannedNode, record: NodeRecord, number: int) -> OperationItem:
    """An item of the plan, as things are now."""
    assert operation.record is not None
    item = OperationItem(
        item=number, kind=ItemKind.TAG, path=node.path, node_id=node.id, node_kind=node.kind, version=record.version,
    )  # fmt: skip
    try:
        ends = edited(record, operation.record)
    except FilestoreError as error:
        return replace(item, state=ItemState.FAILED, code=error.code, message=error.message)
    if ends is None:
        return replace(item, state=ItemState.SKIPPED, code="NOT_NEEDED", message=NOT_NEEDED)
    return item


def as_planned(operation: Operation, item: OperationItem, record: NodeRecord | None) -> bool:
    """Whether an item may go. What is put back goes only from the version that was left."""
    if record is None or record.gone or (record.mount, record.path) != (item.mount or operation.mount_id, item.path):
        return False
    exactly = operation.options.only_if_unchanged or operation.back or item.content_version is not None
    return record.said <= (item.version or 0) <= record.version or not exactly


def until_a_stop(operation: Operation, changed: Sequence[bool]) -> int:
    """How many of the items of a step are taken, by whether each is not as planned: with `onChanged: stop` the first such one
    is the last."""
    if operation.options.on_changed != "stop" or operation.back or True not in changed:
        return len(changed)
    return changed.index(True) + 1
