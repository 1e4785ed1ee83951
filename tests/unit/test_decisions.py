"""Moves, copies, restores and metadata: every branch of whether they may go, and what they intend."""

from dataclasses import replace
from typing import Any

import pytest

from schema.commands.claims import Claim
from schema.commands.command import Command, CommandKind
from schema.commands.decisions import parts
from schema.commands.situations import KnownNode, OldContent, Place, Situation
from schema.commands.verdicts import Busy, Go, Refuse, Verdict, decide
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NODE_METADATA_MAX as MOST
from schema.nodes import NodeKind, NodeState

ONE, TWO = MountId(1), MountId(2)
MOVE, COPY, DESCRIBE, RESTORE = CommandKind.MOVE, CommandKind.COPY, CommandKind.DESCRIBE, CommandKind.RESTORE
IDENTITY = [0, 11, 22, 5, 33, 44, 0, 0o644, 1]
PARENT = KnownNode(NodeId(1), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
ELSEWHERE = replace(PARENT, id=NodeId(2))
FILE = KnownNode(NodeId(7), NodeKind.FILE, NodeState.ACTIVE, 3, 5, "ab" * 32, IDENTITY)
OTHER = replace(FILE, id=NodeId(9), version=1, size=8)
FOLDER = KnownNode(NodeId(8), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, IDENTITY, has_children=True, below=3)
GONE = replace(FILE, state=NodeState.DELETED)
KEPT = OldContent(2, 5, "ab" * 32, b"day/drop.0".hex(), identity=IDENTITY)


def asked(kind: CommandKind, **changes: Any) -> Command:
    values: dict[str, Any] = {"id": CommandId("mine"), "kind": kind, "mount_id": ONE, "path": "d/x", "tenant": "main",
                              "principal": "me", "token_id": 1, "hash": "h"}  # fmt: skip
    if kind in (MOVE, COPY):
        values["target"] = "e/y"
    return Command(**values | changes)


def place(node: KnownNode | None = None, parent: KnownNode | None = PARENT, **changes: Any) -> Place:
    values: dict[str, Any] = {"mount": ONE, "mount_state": "active", "parent": parent, "node": node}
    return Place(**values | changes)


def found(here: Place, there: Place | None = None, **changes: Any) -> Situation:
    return Situation(NodeId(99), here, there, **changes)


def between(node: KnownNode | None, target: KnownNode | None = None, **there: Any) -> Situation:
    return found(place(node), place(target, ELSEWHERE, **there))


def verdict(request: Command, situation: Situation) -> Verdict:
    return decide(request, situation, workflow="w", day="2026-01-02")


REFUSED: list[tuple[str, Command, Situation, str]] = []
for kind in (MOVE, COPY):
    REFUSED += [
        (f"{kind} of nothing", asked(kind), between(None), "NODE_NOT_FOUND"),
        (f"{kind} of a stale version", asked(kind, if_version=2), between(FILE), "VERSION_CONFLICT"),
        (f"{kind} of other content", asked(kind, if_hash="cd" * 32), between(FILE), "VERSION_CONFLICT"),
        (f"{kind} unless it is this version", asked(kind, unless_version=3), between(FILE), "VERSION_CONFLICT"),
        (f"{kind} unless it is this content", asked(kind, unless_hash="ab" * 32), between(FILE), "VERSION_CONFLICT"),
        (
            f"{kind} of what is in doubt",
            asked(kind),
            between(replace(FILE, state=NodeState.INCONSISTENT)),
            "VERSION_CONFLICT",
        ),
        (f"{kind} of what was never seen", asked(kind), between(replace(FILE, identity=None)), "VERSION_CONFLICT"),
        (f"{kind} of a link", asked(kind), between(replace(FILE, kind=NodeKind.SYMLINK)), "VERSION_CONFLICT"),
        (f"{kind} onto itself", asked(kind, target="d/x"), between(FILE), "INVALID_REQUEST"),
        (f"{kind} into itself", asked(kind, target="d/x/y"), between(FOLDER), "INVALID_REQUEST"),
        (f"{kind} to nowhere", asked(kind), found(place(FILE), place(None, None)), "PARENT_NOT_FOUND"),
        (f"{kind} below a file", asked(kind), found(place(FILE), place(None, OTHER)), "NOT_A_DIRECTORY"),
        (f"{kind} onto a file", asked(kind), between(FILE, OTHER), "NODE_EXISTS"),
        (
            f"{kind} onto a file that must not be",
            asked(kind, overwrite=True, must_be_new=True),
            between(FILE, OTHER),
            "NODE_EXISTS",
        ),
        (f"{kind} onto a directory", asked(kind, overwrite=True), between(FILE, FOLDER), "NOT_A_DIRECTORY"),
        (f"{kind} of a directory onto a file", asked(kind, overwrite=True), between(FOLDER, OTHER), "NOT_A_DIRECTORY"),
        (
            f"{kind} onto a file in doubt",
            asked(kind, overwrite=True),
            between(FILE, replace(OTHER, state=NodeState.MISSING)),
            "VERSION_CONFLICT",
        ),
        (
            f"{kind} to no mount",
            asked(kind, target_mount_id=TWO),
            between(FILE, mount=TWO, mount_state=None),
            "BACKEND_NOT_FOUND",
        ),
        (
            f"{kind} to a closed mount",
            asked(kind, target_mount_id=TWO),
            between(FILE, mount=TWO, mount_state="offline"),
            "MOUNT_OFFLINE",
        ),
        (
            f"{kind} to a read-only mount",
            asked(kind, target_mount_id=TWO),
            between(FILE, mount=TWO, mount_access="ro"),
            "MOUNT_READ_ONLY",
        ),
    ]
REFUSED += [
    (
        "move away from a read-only mount",
        asked(MOVE),
        found(place(FILE, mount_access="ro"), place()),
        "MOUNT_READ_ONLY",
    ),
    ("metadata of nothing", asked(DESCRIBE), found(place()), "NODE_NOT_FOUND"),
    ("metadata of another node", asked(DESCRIBE, node_id=NodeId(8)), found(place(FILE)), "NODE_NOT_FOUND"),
    ("metadata of a stale version", asked(DESCRIBE, if_version=2), found(place(FILE)), "VERSION_CONFLICT"),
    (
        "metadata beyond what a node may have",
        asked(DESCRIBE),
        found(place(FILE), metadata=(9, MOST + 1)),
        "PAYLOAD_TOO_LARGE",
    ),
    (
        "more of what is too much",
        asked(DESCRIBE),
        found(place(FILE), metadata=(MOST + 7, MOST + 8)),
        "PAYLOAD_TOO_LARGE",
    ),
    ("restore of no node", asked(RESTORE), found(place()), "NODE_NOT_FOUND"),
    ("restore of what lives", asked(RESTORE), found(place(), named=FILE, old=KEPT), "NODE_EXISTS"),
    ("restore to a taken name", asked(RESTORE), found(place(OTHER), named=GONE, old=KEPT), "NODE_EXISTS"),
    ("restore to nowhere", asked(RESTORE), found(place(None, None), named=GONE, old=KEPT), "PARENT_NOT_FOUND"),
    (
        "restore of what is not kept",
        asked(RESTORE),
        found(place(), named=GONE, old=replace(KEPT, place=None)),
        "CONTENT_EXPIRED",
    ),
    (
        "restore of what has expired",
        asked(RESTORE),
        found(place(), named=GONE, old=replace(KEPT, expired=True)),
        "CONTENT_EXPIRED",
    ),
    ("restore of an unknown version", asked(RESTORE, content_version=1), found(place(FILE)), "NOT_FOUND"),
    ("restore of a version of nothing", asked(RESTORE, content_version=1), found(place()), "NODE_NOT_FOUND"),
    (
        "restore of a version of a directory",
        asked(RESTORE, content_version=1),
        found(place(FOLDER), old=KEPT),
        "NOT_A_DIRECTORY",
    ),
    (
        "restore of an expired version",
        asked(RESTORE, content_version=1),
        found(place(FILE), old=replace(KEPT, expired=True)),
        "CONTENT_EXPIRED",
    ),
    (
        "restore of a version onto a doubt",
        asked(RESTORE, content_version=1),
        found(place(replace(FILE, state=NodeState.INCONSISTENT)), old=KEPT),
        "VERSION_CONFLICT",
    ),
]


@pytest.mark.parametrize(
    ("request_", "situation", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_refusal(request_: Command, situation: Situation, code: str) -> None:
    got = verdict(request_, situation)
    assert isinstance(got, Refuse) and got.error.code == code


def went(request: Command, situation: Situation) -> Go:
    got = verdict(request, situation)
    assert isinstance(got, Go), got
    return got


def test_a_move_changes_one_node_and_claims_both_ends() -> None:
    go = went(asked(MOVE), between(FILE))
    expected = {
        "step": "move",
        "node": 7,
        "version": 4,
        "parent": 2,
        "old_parent": 1,
        "at": b"e/y".hex(),
        "tree": False,
    }
    assert go.intent.to_json() | expected == go.intent.to_json()
    assert go.claims == [Claim(ONE, b"d/x", True), Claim(ONE, b"e/y", True)]
    assert "replaced" not in go.intent.to_json() and not go.long and not go.unstaged


def test_a_move_onto_a_file_says_where_that_one_goes() -> None:
    go = went(asked(MOVE, overwrite=True), between(FILE, OTHER))
    assert (
        go.intent.to_json()["replaced"]["node"] == 9 and go.intent.to_json()["replaced"]["trash"] == "2026-01-02/mine.0"
    )


def test_a_file_moves_to_another_mount_as_a_copy_whose_source_goes() -> None:
    go = went(asked(MOVE, target_mount_id=TWO), between(FILE, mount=TWO))
    assert go.intent.to_json()["step"] == "create" and go.intent.to_json()["node"] == 99 and go.long and go.unstaged
    assert (
        go.intent.to_json()["departs"]["mount"] == 1 and go.intent.to_json()["departs"]["trash"] == "2026-01-02/mine.1"
    )
    assert [claim.mount for claim in go.claims] == [ONE, TWO]


def test_the_same_path_on_another_mount_is_another_place() -> None:
    assert (
        went(asked(COPY, target="d/x", target_mount_id=TWO), between(FILE, mount=TWO)).intent.to_json()["step"]
        == "create"
    )


def test_a_copy_is_staged_first_and_its_source_holds_still() -> None:
    go = went(asked(COPY), between(FILE))
    assert go.unstaged and not go.long
    assert go.claims == asked(COPY).claims == [Claim(ONE, b"d/x", True, shared=True), Claim(ONE, b"e/y", True)]
    assert went(asked(COPY), between(replace(FILE, size=parts.COPY_INLINE_BYTES + 1))).long
    tree = went(asked(COPY), between(FOLDER))
    assert tree.long and tree.intent.to_json()["tree"] and tree.claims == go.claims
    onto = went(asked(COPY, overwrite=True), between(FILE, OTHER))
    assert (
        onto.intent.to_json()["step"] == "replace"
        and onto.intent.to_json()["node"] == 9
        and onto.intent.to_json()["source"]["node"] == 7
    )
    assert went(asked(COPY), found(place(FILE, mount_access="ro"), place())).unstaged, "reading needs no right to write"


def test_a_large_tree_goes_on_by_itself() -> None:
    assert went(asked(MOVE), between(replace(FOLDER, below=parts.TREE_INLINE_NODES + 1))).long
    assert not went(asked(MOVE), between(FOLDER)).long


def test_metadata_touches_no_storage() -> None:
    go = went(asked(DESCRIBE, node_id=NodeId(7)), found(place(FILE)))
    assert (
        go.intent.to_json()["step"] == "describe"
        and go.intent.to_json()["version"] == 4
        and go.intent.to_json()["expected"] is None
    )


@pytest.mark.parametrize("sizes", [(2, MOST), (MOST, MOST), (MOST + 9, MOST + 8), (MOST + 9, MOST + 9), None])
def test_metadata_within_the_limit_and_less_of_what_is_beyond_it_are_taken(sizes: tuple[int, int] | None) -> None:
    assert went(asked(DESCRIBE), found(place(FILE), metadata=sizes)).intent.step == "describe"


def test_a_deleted_node_comes_back_as_itself() -> None:
    go = went(asked(RESTORE, target="e/y"), found(place(), place(None, ELSEWHERE), named=GONE, old=KEPT))
    expected = {"step": "restore", "node": 7, "version": 4, "parent": 2, "at": b"e/y".hex(), "place": KEPT.place}
    assert go.intent.to_json() | expected == go.intent.to_json()
    assert go.claims == [Claim(ONE, b"d/x", True), Claim(ONE, b"e/y", True)], (
        "where it was, too: it comes back only once"
    )


def test_an_older_version_becomes_the_newest_unless_it_is_that_already() -> None:
    go = went(asked(RESTORE, content_version=2), found(place(FILE), old=KEPT))
    assert (
        go.intent.to_json()["step"] == "replace"
        and go.intent.to_json()["source"]["place"] == KEPT.place
        and go.unstaged
    )
    same = went(asked(RESTORE, content_version=3), found(place(FILE), old=replace(KEPT, place=None)))
    assert same.intent.to_json()["step"] == "none"


def test_whoever_holds_either_end_is_waited_for() -> None:
    holder = CommandId("holder")
    assert verdict(asked(MOVE), found(place(FILE, busy=holder), place())) == Busy(holder)
    assert verdict(asked(MOVE), found(place(FILE), place(busy=holder))) == Busy(holder)


@pytest.mark.parametrize("kind", [MOVE, COPY])
def test_where_storage_knows_no_trees_they_go_item_by_item(kind: CommandKind) -> None:
    bucket = found(place(FOLDER, whole_trees=False), place(whole_trees=False))
    go = went(asked(kind), bucket)
    assert go.long and go.intent.to_json()["items"] and go.intent.to_json()["tree"]
    empty = replace(FOLDER, has_children=False, below=0)
    assert (
        "items"
        not in went(asked(kind), found(place(empty, whole_trees=False), place(whole_trees=False))).intent.to_json()
    )
    assert "items" not in went(asked(kind), between(FOLDER)).intent.to_json()


def test_a_tree_between_mounts_goes_as_the_target_knows_it_and_its_source_leaves() -> None:
    to_bucket = went(asked(MOVE, target_mount_id=TWO), between(FOLDER, mount=TWO, whole_trees=False))
    assert to_bucket.long and to_bucket.intent.to_json()["items"] and to_bucket.intent.to_json()["departs"]["tree"]
    to_disk = went(asked(MOVE, target_mount_id=TWO), found(place(FOLDER, whole_trees=False), place(mount=TWO)))
    assert to_disk.long and "items" not in to_disk.intent.to_json() and to_disk.intent.to_json()["departs"]["tree"]


def test_an_item_of_a_plan_means_the_node_and_the_target_that_were_seen() -> None:
    assert went(asked(MOVE, operation_id="o", node_id=FILE.id), between(FILE))
    other = asked(MOVE, operation_id="o", node_id=NodeId(FILE.id + 1))
    over = asked(COPY, operation_id="o", node_id=FILE.id, overwrite=True, target_version=OTHER.version)
    assert went(over, between(FILE, OTHER))
    changed = replace(over, target_version=OTHER.version + 1)
    for request, found in ((other, between(FILE)), (changed, between(FILE, OTHER))):
        got = verdict(request, found)
        assert isinstance(got, Refuse) and got.error.code == "VERSION_CONFLICT"
