"""Heal: what a finding says is undone. An unknown file leaves its name, our copy takes the place of what was written over it, or
comes back where nothing lies any more. Only where all is as the finding saw it."""

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command, CommandKind
from schema.commands.decisions import parts
from schema.commands.intents import Before, Delete, Healing, Intent, Replace, Revive
from schema.commands.situations import KnownFinding, KnownNode, Situation
from schema.nodes import NodeKind, NodeState


def refuse(request: Command, found: Situation) -> errors.FilestoreError | None:
    finding, node = found.finding, found.here.node
    if finding is None or not finding.waits or finding.version != request.finding_version:
        return errors.StaleFinding()
    if finding.ignored or finding.path != request.node_path.raw:
        return errors.StaleFinding("The place is ignored by now, or the node has another place.")
    if problem := parts.no_room(request, found.here):
        return problem
    if request.kind is CommandKind.DELETE:
        return _not_a_stray(finding, node) or _not_as_one(finding, found)
    if node is None or (node.id, node.version) != (finding.node, finding.node_version):
        return errors.StaleFinding()
    if node.kind is not NodeKind.DIRECTORY or not finding.facts:
        return None
    return errors.NotSupported(
        "A directory can not be put back there. Accept what lies there, or put it right by hand."
    )


def _not_a_stray(finding: KnownFinding, node: KnownNode | None) -> errors.FilestoreError | None:
    """What became a node in between is ours, and no old finding takes it away."""
    if node is None:
        return None if finding.node is None else errors.StaleFinding()
    unmet = (node.id, node.version) != (finding.node, finding.node_version) or node.state is NodeState.ACTIVE
    return errors.StaleFinding("There is a node by now.", nodeId=node.id) if unmet else None


def _not_as_one(finding: KnownFinding, found: Situation) -> errors.FilestoreError | None:
    if finding.seen != NodeKind.DIRECTORY or found.here.whole_trees:
        return None
    return errors.NotSupported(
        "A directory of this storage has no content of its own. Accept it, and decide about what it holds."
    )


def intend(request: Command, found: Situation) -> Intent:
    finding, node = found.finding, found.here.node
    assert finding is not None
    healing = Healing(
        finding=finding.id,
        look=request.finding_look or 0,
        kind=finding.seen,
        facts=finding.facts or None,
        sha256=finding.sha256,
    )
    if request.kind is CommandKind.DELETE:
        return _out_of_the_way(request, found, finding, healing)
    assert node is not None
    if finding.facts:
        return _instead(found, finding, node, healing)
    return Revive(**{**parts.changes(node), "expected": None}, parent=parts.parent_of(found.here), heal=healing)


def _out_of_the_way(request: Command, found: Situation, finding: KnownFinding, healing: Healing) -> Delete:
    """What was found gets a node first, at version 1, so that it leaves like any other: into the trash, with a way back."""
    stray = KnownNode(
        found.fresh_node, NodeKind(finding.seen), NodeState.ACTIVE, 1, finding.size, finding.sha256, finding.facts,
        parent=parts.parent_of(found.here), name=request.node_path.name.hex(),
    )  # fmt: skip
    return Delete(**parts.changes(stray), parent=stray.parent, tree=stray.kind is NodeKind.DIRECTORY, heal=healing)


def _instead(found: Situation, finding: KnownFinding, node: KnownNode, healing: Healing) -> Replace:
    """What was found becomes the node's next version, and our copy the one after it."""
    theirs = Before(
        id=node.id, parent=node.parent, name=node.name, version=node.version + 1, state=NodeState.ACTIVE,
        size=finding.size, sha256=finding.sha256,
    )  # fmt: skip
    return Replace(
        node=node.id, version=node.version + 2, kind=node.kind, size=node.size, sha256=node.sha256,
        parent=parts.parent_of(found.here), expected=finding.facts, previous_version=node.version + 1,
        previous_size=finding.size, before=theirs, heal=healing,
    )  # fmt: skip


def claims(request: Command, found: Situation) -> list[Claim]:
    return [parts.here(request, subtree=True)]
