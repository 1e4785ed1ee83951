"""Paths: one normaliser, and nothing that leaves a mount gets through it."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import paths
from schema.errors import FilestoreError, Forbidden, InvalidPath
from schema.paths import NAME_MAX, PATH_MAX, ROOT, NodePath

SEGMENTS = st.sampled_from([b"a", b"..", b".", b"", b".filestore", b"%2e%2e", b"\xff\xfe", b"...", b"-rf", b"a\nb"])
HOSTILE = st.lists(SEGMENTS | st.binary(max_size=8), max_size=8).map(b"/".join)


@given(HOSTILE)
def test_a_checked_path_checks_to_itself(raw: bytes) -> None:
    try:
        path = paths.check(raw)
    except FilestoreError:
        return
    assert paths.check(path.raw) == path


@given(HOSTILE)
def test_a_checked_path_never_leaves_the_mount(raw: bytes) -> None:
    try:
        path = paths.check(raw)
    except FilestoreError:
        return
    resolved = posixpath.normpath(b"/mount/" + path.raw)
    assert resolved == b"/mount/" + path.raw
    assert not path.raw.startswith(paths.RESERVED + b"/") and path.raw != paths.RESERVED


@given(st.text())
def test_any_text_is_a_path_or_a_refusal(text: str) -> None:
    try:
        path = paths.parse(text)
    except (InvalidPath, Forbidden):
        return
    assert paths.parse(path.text) == path


@given(HOSTILE)
def test_a_path_survives_its_way_through_json(raw: bytes) -> None:
    try:
        path = paths.check(raw)
    except FilestoreError:
        return
    assert paths.decode(path.text, path.b64) == path


@given(HOSTILE)
def test_ancestors_lead_from_the_root_to_the_parent(raw: bytes) -> None:
    try:
        path = paths.check(raw)
    except FilestoreError:
        return
    above = path.ancestors()
    assert above[0] == ROOT and above[-1] == path.parent and len(above) == path.depth
    assert [path.raw[:length] for length in path.ancestor_lengths()] == [one.raw for one in above]
    assert path.parent.child(path.name) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "//",
        ".",
        "..",
        "./a",
        "a/.",
        "a/..",
        "../a",
        "a/../b",
        "a/./b",
        "/..",
        "/../etc/passwd",
        "a\0b",
        "\0",
        "a\\b",
        "..\\..\\x",
        "\udcff",
        "a/\ud800",
        "n" * (NAME_MAX + 1),
        "/".join(["n" * 200] * 21),
    ],
)
def test_hostile_paths_are_refused_as_invalid(text: str) -> None:
    with pytest.raises(InvalidPath):
        paths.parse(text)


@pytest.mark.parametrize("text", [".filestore", ".filestore/", "/.filestore/x", "//.filestore//stage/x"])
def test_our_own_folder_is_forbidden(text: str) -> None:
    with pytest.raises(Forbidden):
        paths.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "-rf",
        " ",
        "a b",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\x1b[31m",
        "\u202egnp.exe",
        "a\u200bb",
        "%2e%2e%2f",
        "%00",
        "...",
        "..a",
        "a/.filestore",
        ".filestorex",
        "CON",
        "x.",
        "x ",
        "a:b",
        "café",
        "cafe\u0301",
        "n" * NAME_MAX,
        "*",
        "$(rm)",
        "'\"",
        "/".join(["d"] * 300),
    ],
)
def test_odd_names_are_names(text: str) -> None:
    assert paths.parse(text).raw == text.encode()


def test_composed_and_decomposed_names_are_different() -> None:
    assert paths.parse("caf\u00e9") != paths.parse("cafe\u0301")


def test_doubled_and_outer_slashes_are_forgiven() -> None:
    assert paths.parse("//a///b/") == NodePath(b"a/b")


def test_the_longest_path_is_taken_and_one_byte_more_is_not() -> None:
    longest = b"/".join([b"n" * 204] * 19 + [b"n" * 201])
    assert len(longest) == PATH_MAX
    assert paths.check(longest).raw == longest
    with pytest.raises(InvalidPath):
        paths.check(longest + b"n")


def test_a_root_is_a_path_only_where_it_is_asked_for() -> None:
    assert paths.parse("/", allow_root=True) == ROOT
    assert ROOT.depth == 0 and ROOT.ancestors() == [] and ROOT.ancestor_lengths() == [] and ROOT.as_directory == b""


def test_bytes_that_are_not_utf_8_travel_as_base64() -> None:
    path = paths.decode(None, "YS//Yg==")
    assert path.raw == b"a/\xffb" and path.text == "a/\ufffdb" and path.b64 == "YS//Yg=="


@pytest.mark.parametrize("text", ["!", "YQ", "YQ==\n!", "é"])
def test_base64_that_is_none_is_an_invalid_path(text: str) -> None:
    with pytest.raises(InvalidPath):
        paths.decode("a", text)


def test_a_path_hidden_in_base64_is_checked_like_any_other() -> None:
    with pytest.raises(InvalidPath):
        paths.decode("a", "Li4vLi4=")
    with pytest.raises(Forbidden):
        paths.decode("a", "LmZpbGVzdG9yZS94")


def test_directory_paths_sort_as_their_trees_do() -> None:
    stored = sorted(paths.parse(text).as_directory for text in ["a", "a/b", "a b", "a/b/c", "a-b", "a0"])
    assert stored == [b"a b/", b"a-b/", b"a/", b"a/b/", b"a/b/c/", b"a0/"]
