"""Every kind of call that AppHub's SDK and CLI make, sent and parsed as they do it: one mount, one call after the other."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.apphub import AppHub, AppHubError
from tests.fix_service import MountOfTest, Service

SHA256 = hashlib.sha256(b"abc").hexdigest()


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(AppHubError) as caught:
        call()
    return caught.value.status, caught.value.code


FORMS: dict[str, tuple[Callable[[AppHub, int], Any], Any]] = {
    "mkdir": (lambda c, m: c.create_directory(m, "d", metadata={"n": 1}).made.metadata, {"n": 1}),
    "mkdir there": (lambda c, m: refusal(lambda: c.create_directory(m, "d")), (409, "NODE_EXISTS")),
    "mkdir without parent": (lambda c, m: refusal(lambda: c.create_directory(m, "x/y")), (404, "PARENT_NOT_FOUND")),
    "upload nothing": (lambda c, m: c.upload_file(m, "plain", b"").made.parent_id == c.get_node_by_path(m, "").id, True),
    "upload": (lambda c, m: c.upload_file(m, "d/f", b"abc", metadata='{"a": "1"}').result.content_hash, SHA256),
    "upload there": (lambda c, m: refusal(lambda: c.upload_file(m, "d/f", b"x")), (409, "NODE_EXISTS")),
    "upload over": (lambda c, m: c.upload_file(m, "d/f", b"abcd", overwrite="true").result.version, 2),
    "upload over a directory": (lambda c, m: refusal(lambda: c.upload_file(m, "d", b"x", overwrite="true")),
                                (409, "NOT_A_DIRECTORY")),
    "upload with a checksum": (lambda c, m: c.upload_file(m, "d/g", b"abc", headers={"x-filestore-checksum": SHA256})
                               .result.checksum, SHA256),
    "upload with a wrong one": (lambda c, m: refusal(lambda: c.upload_file(m, "d/w", b"abc", headers={
        "x-filestore-checksum": "abc"})), (422, "CHECKSUM_MISMATCH")),
    "stat": (lambda c, m: (c.get_node_by_path(m, "d/f").name, c.get_node_by_path(m, "/d/f/").depth), ("f", 2)),
    "stat by id": (lambda c, m: c.get_node_by_id(c.get_node_by_path(m, "d").id).path, "d"),
    "stat of nothing": (lambda c, m: refusal(lambda: c.get_node_by_path(m, "nope")), (404, "NODE_NOT_FOUND")),
    "rollup": (lambda c, m: (c.get_node_by_path(m, "d").totals.file_count, c.get_node_by_path(m, "d").totals.size_bytes), (2, 7)),
    "list": (lambda c, m: [one.path for one in c.list_nodes(m, limit=50, offset=0).nodes], ["d", "plain", "d/f", "d/g"]),
    "list a page": (lambda c, m: (c.list_nodes(m, limit=1).pagination.next_offset, c.list_nodes(m, limit=1).pagination.total),
                    (1, 4)),
    "list by path and depth": (lambda c, m: [one.path for one in c.list_nodes(m, path="d", depth=0).nodes], ["d"]),
    "list kinds and states": (lambda c, m: [one.path for one in c.list_nodes(
        m, kinds="directory", states="active,deleted", driftOnly="false").nodes], ["d"]),
    "list what has drifted": (lambda c, m: c.list_nodes(m, driftOnly="true").nodes, []),
    "search": (lambda c, m: [one.path for one in c.list_nodes(m, search="PLAIN").nodes], ["plain"]),
    "children": (lambda c, m: [one.name for one in c.list_children(c.get_node_by_path(m, "d").id).children], ["f", "g"]),
    "metadata": (lambda c, m: c.update_metadata(m, c.get_node_by_path(m, "d").id, set={"k": True}, unset=["n"]).made.metadata,
                 {"k": True}),
    "copy": (lambda c, m: c.copy_node(m, "d/f", "copy").result.copied_from, "d/f"),
    "copy there": (lambda c, m: refusal(lambda: c.copy_node(m, "d/f", "copy")), (409, "NODE_EXISTS")),
    "copy a directory": (lambda c, m: c.copy_node(m, "d", "e").made.totals.file_count, 2),
    "move": (lambda c, m: c.move_node(m, "copy", "moved").result.moved_from, "copy"),
    "move over": (lambda c, m: c.move_node(m, "moved", "plain", overwrite=True).made.path, "plain"),
    "move nothing": (lambda c, m: refusal(lambda: c.move_node(m, "nope", "else")), (404, "NODE_NOT_FOUND")),
    "delete a full one": (lambda c, m: refusal(lambda: c.delete_node(m, "d")), (409, "CHILDREN_EXIST")),
    "delete": (lambda c, m: c.delete_node(m, "d", recursive=True).result.state, "deleted"),
    "delete again": (lambda c, m: c.delete_node(m, "d").idempotent, True),
    "a path that leads out": (lambda c, m: refusal(lambda: c.create_directory(m, "../x")), (400, "INVALID_PATH")),
    "a mount that is not there": (lambda c, m: refusal(lambda: c.create_directory(2**40, "x")), (404, "BACKEND_NOT_FOUND")),
    "a link on a disk": (lambda c, m: refusal(lambda: c.presign(c.get_node_by_path(m, "plain").id)), (400, "NOT_SUPPORTED")),
    "the mounts": (lambda c, m: m in [one.id for one in c.list_mounts(limit=100).mounts], True),
    "a mount": (lambda c, m: c.get_mount(m).access_mode, "rw"),
    "a mount's name": (lambda c, m: c.update_mount(m, displayName="Demo").display_name, "Demo"),
}  # fmt: skip


def test_every_call_of_apphub_is_answered_as_it_parses_it(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    found = {name: call(client, mount.id) for name, (call, _) in FORMS.items()}
    assert found == {name: expected for name, (_, expected) in FORMS.items()}
