"""Nodes in the exact forms that existing clients compare or parse."""

import base64
import hashlib

from tests.clients.apphub import AppHub, ParsedChildren, ParsedNode, ParsedNodes
from tests.fix_service import MountOfTest, Service

FIELDS = {field.alias for field in ParsedNode.model_fields.values()}


def test_a_node_has_exactly_the_fields_that_clients_know(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    client.create_directory(mount.id, "a")
    client.upload_file(mount.id, "a/f", b"abc")
    for path in ("", "a", "a/f"):
        found = service.at(mount, path).json()["data"]
        assert set(found) == FIELDS, path
        assert ParsedNode.model_validate(found).path == path


def test_a_file_is_known_by_bare_hexadecimal_digits(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    client.upload_file(mount.id, "f", b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    node = client.get_node_by_path(mount.id, "f")
    assert node.download is not None
    assert (node.checksum, node.content_hash) == (sha256, sha256)
    assert (node.download.checksum, node.download.content_hash) == (sha256, sha256)
    md5 = hashlib.md5(b"abc").hexdigest()
    client.upload_file(mount.id, "g", b"abc", headers={"x-filestore-checksum": f"md5:{md5}"})
    node = client.get_node_by_path(mount.id, "g")
    assert node.download is not None
    assert (node.checksum, node.content_hash) == (md5, sha256)
    assert (node.download.checksum, node.download.content_hash) == (md5, sha256)
    versions = service.call("GET", f"/v1/nodes/{node.id}/snapshots").json()["data"]["snapshots"]
    assert [(one["contentHash"], "nameB64" in one) for one in versions] == [(sha256, False)]


def test_the_bytes_of_a_path_are_told_only_where_they_are_no_text(service: Service, mount: MountOfTest) -> None:
    exact = base64.b64encode(b"d\xff").decode()
    made = service.call("POST", "/v1/directories", json={"backendMountId": mount.id, "pathB64": exact}).json()["data"]
    assert made["node"]["pathB64"] == made["result"]["pathB64"] == exact
    assert made["node"]["path"] == made["result"]["path"] == "d\ufffd"
    body = {"backendMountId": mount.id, "pathB64": exact, "targetPath": "plain"}
    moved = service.call("POST", "/v1/nodes/move", json=body).json()["data"]
    assert moved["result"]["movedFrom"] == "d\ufffd" and moved["result"]["movedFromB64"] == exact
    assert "pathB64" not in moved["node"] and "pathB64" not in moved["result"]
    entries = service.journal(mount)
    assert [one.get("pathB64") for one in entries] == [exact, exact] and "targetPathB64" not in entries[0]
    shown = service.call("GET", f"/v1/commands/{moved['commandId']}").json()["data"]
    assert shown["pathB64"] == exact and "targetPathB64" not in shown
    service.mkdir(mount, "text")
    assert "pathB64" not in service.journal(mount)[0]


def test_a_list_has_its_conditions_as_arrays(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    client.create_directory(mount.id, "a")
    listed = client.list_nodes(mount.id)
    assert isinstance(listed, ParsedNodes) and [node.depth for node in listed.nodes] == [1]
    assert (listed.filters.states, listed.filters.kinds, listed.filters.path) == ([], [], None)
    listed = client.list_nodes(
        mount.id, depth=0, driftOnly="false", kinds="file,directory", states="active", search="A"
    )
    assert [listed.filters.kinds, listed.filters.states, listed.filters.depth] == [["file", "directory"], ["active"], 0]
    below = client.list_children(client.get_node_by_path(mount.id, "").id, limit=1)
    assert isinstance(below, ParsedChildren) and (below.filters.states, below.filters.kinds) == ([], [])
    assert (below.pagination.total, below.pagination.next_offset) == (1, None)
