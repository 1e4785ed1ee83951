"""Names are bytes: whatever a file system takes goes in and comes out; whatever could escape or confuse is a clear 4xx."""

import base64

from tests.fix_service import MountOfTest, Service

ODD = [
    "-rf", "two  spaces", " leading", "trailing ", "new\nline", "cr\r\nlf", "tab\there", "esc\x1b[31m",
    "\u202eright-to-left", "zero\u200bwidth", "caf\u00e9", "cafe\u0301", "CASE", "case", "a..b", "...", "%2e%2e%2f", "%00",
    "quote\"'`$(x)", "CON", "x" * 255, "\U0001f600", "a:b", "dot.", "~", "*?[]", "comma, semicolon;",
]  # fmt: skip

REFUSED = [
    "", "/", ".", "..", "a/../b", "a/./b", "../escape", "nul\0name", "back\\slash", "x" * 256, "/".join(["d" * 200] * 25),
    ".filestore", ".filestore/stage/x", "/.filestore",
]  # fmt: skip


def test_odd_names_are_taken_as_they_are(service: Service, mount: MountOfTest) -> None:
    for name in ODD:
        answer = service.upload(mount, name, name.encode())
        assert answer.status_code == 201, (name, answer.text)
        node = answer.json()["data"]["node"]
        assert node["name"] == name
        back = service.call("GET", node["download"]["streamUrl"])
        assert back.content == name.encode() and "\n" not in back.headers["content-disposition"], name
    assert mount.on_disk() == {name: name.encode() for name in ODD}


def test_a_hostile_path_is_a_clear_refusal(service: Service, mount: MountOfTest) -> None:
    for path in REFUSED:
        for answer in (service.mkdir(mount, path), service.delete(mount, path), service.upload(mount, path, b"x")):
            assert answer.status_code in (400, 403), (path, answer.text)
            assert answer.json()["error"]["code"] in ("INVALID_PATH", "FORBIDDEN", "INVALID_REQUEST"), path
    assert mount.on_disk() == {}


def test_a_name_that_is_not_utf8_goes_in_and_out_by_its_bytes(service: Service, mount: MountOfTest) -> None:
    raw = b"caf\xe9-\xff"
    body = {"backendMountId": mount.id, "pathB64": base64.b64encode(raw).decode()}
    answer = service.call("POST", "/v1/directories", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["node"]["pathB64"] == body["pathB64"]
    assert raw in [entry.encode("utf-8", "surrogateescape") for entry in map(str, mount.on_disk())]
    assert service.call("DELETE", "/v1/nodes", json=body).status_code == 200
    assert mount.on_disk() == {}


def test_a_symlink_is_never_followed(service: Service, mount: MountOfTest) -> None:
    outside = mount.root.parent / "outside"
    outside.mkdir()
    (mount.root / "link").symlink_to(outside)
    assert service.upload(mount, "link", b"x", overwrite="true").status_code == 409
    for answer in (service.mkdir(mount, "link/in"), service.upload(mount, "link/in", b"x")):
        assert answer.status_code in (404, 409)
    assert list(outside.iterdir()) == []
    (mount.root / "link").unlink()
