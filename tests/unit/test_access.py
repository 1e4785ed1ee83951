"""The one decision: deny wins, the longest pattern explains, and the compiled form says what the rules say."""

import re
import time
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.access.actions import ACTIONS, CHANGES, SCOPES, Action, withheld
from schema.access.actions import given as given_by
from schema.access.commands import needs
from schema.access.decision import access_of, may
from schema.access.patterns import pattern
from schema.access.rules import Grant
from schema.commands.command import Command, CommandKind
from schema.errors import FilestoreError, Forbidden, InvalidPath, InvalidRequest, MissingScope
from schema.ids import CommandId, MountId
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise

ONE, OTHER = MountId(1), MountId(2)
NAMES = st.sampled_from([b"a", b"b", b"ab", b"a-", b"a0", b"\xff", "é".encode(), b"x.key"])
PATHS = st.lists(NAMES, max_size=4).map(lambda names: NodePath(b"/".join(names)))
SUBTREES = st.lists(st.sampled_from(["a", "b", "ab", "a-", "a0", "é"]), max_size=3).map("/".join)
GLOBS = st.sampled_from(
    ["*", "a/*", "**/b", "a/**/b", "*.key", "**/*.key", "?", "a?", "[ab]", "[!a]", "a/[a-]*", "é/*"]
)
GRANTS = st.builds(
    Grant, SUBTREES | GLOBS, st.sampled_from(["allow", "deny"]), st.sampled_from([None, ONE, OTHER]),
    st.lists(st.sampled_from(sorted(SCOPES)), max_size=2),
)  # fmt: skip


def allowed(scopes: list[str], grants: list[Grant], action: Action, mount: MountId, path: NodePath) -> bool:
    """The rules as the docs tell them, one by one."""
    some = [one for one in grants if one.mount in (None, mount) and pattern(one.pattern).holds(path)]
    if any(one.effect == "deny" and (not one.scopes or action in withheld(one.scopes)) for one in some):
        return False
    allows = [one for one in grants if one.effect == "allow"]
    if not allows:
        return action in given_by(scopes)
    return any(action in given_by(one.scopes or scopes) for one in some if one.effect == "allow")


@given(st.lists(st.sampled_from(sorted(SCOPES)), max_size=3), st.lists(GRANTS, max_size=8), PATHS)
@settings(max_examples=80, deadline=None)
def test_the_compiled_form_decides_as_the_rules_do(scopes: list[str], grants: list[Grant], path: NodePath) -> None:
    access = access_of(scopes, grants)
    actions: list[Action] = ["read", "write", "delete", "mounts"]
    for action, mount in product(actions, (ONE, OTHER)):
        decision = may(access, action, mount, path)
        assert decision.allowed == allowed(scopes, grants, action, mount, path)
        assert decision.allowed or decision.reason


@given(st.lists(GRANTS, max_size=8), PATHS, st.lists(NAMES, max_size=2))
@settings(max_examples=80, deadline=None)
def test_a_whole_tree_is_allowed_only_where_all_that_can_lie_in_it_is(
    grants: list[Grant], top: NodePath, names: list[bytes]
) -> None:
    access = access_of(["write"], grants)
    if may(access, "delete", ONE, top, tree=True).allowed:
        inside = NodePath(b"/".join([*([top.raw] if top.raw else []), *names]))
        assert may(access, "delete", ONE, inside).allowed


@given(st.lists(st.sampled_from(sorted(SCOPES)), max_size=3), st.lists(GRANTS, max_size=8), PATHS)
@settings(max_examples=50, deadline=None)
def test_what_may_be_changed_may_be_read(scopes: list[str], grants: list[Grant], path: NodePath) -> None:
    access = access_of(scopes, grants)
    for action in (*CHANGES, "operate", "share"):
        assert not may(access, action, ONE, path).allowed or may(access, "read", ONE, path).allowed


@given(SUBTREES | GLOBS, PATHS)
@settings(max_examples=80, deadline=None)
def test_a_pattern_holds_all_below_what_it_holds(text: str, path: NodePath) -> None:
    one = pattern(text)
    if one.holds(path):
        assert one.holds(path.child(b"below"))


@pytest.mark.parametrize(
    ("text", "path", "holds"),
    [
        ("", b"a", True), ("", b"", True), ("a", b"a", True), ("a", b"a/b", True), ("a", b"ab", False), ("/a/", b"a/b", True),
        ("a/*", b"a", False), ("a/*", b"a/b", True), ("a/*", b"a/b/c", True), ("*.key", b"x.key", True),
        ("*.key", b"a/x.key", False), ("**/*.key", b"a/b/x.key", True), ("**/*.key", b"x.key", True), ("a/**/z", b"a/z", True),
        ("a/**/z", b"a/b/c/z", True), ("?", "é".encode(), True), ("?", b"ab", False), ("?", b"\xff", True),
        ("[ab]", b"b", True), ("[!ab]", b"b", False), ("[!ab]", b"c", True), ("a.b*", b"axb", False), ("[a-c]x", b"bx", True),
        ("a+*", b"a+b", True), ("a+*", b"aab", False),
    ],
)  # fmt: skip
def test_patterns(text: str, path: bytes, holds: bool) -> None:
    assert pattern(text).holds(NodePath(path)) is holds


@pytest.mark.parametrize(
    "text", ["*" * 3 + "/" + "?*" * 5, "[", "[]", "[^]", "[a/b]*", "[\\d]", "[z-a]", "a" * 1025, "a/*\ud800"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises((InvalidRequest, InvalidPath, UnicodeEncodeError)):
        pattern(text)


def test_the_longest_pattern_explains() -> None:
    grants = [
        Grant("", scopes=["write"]),
        Grant("a", "deny", scopes=["delete"]),
        Grant("a/b", "deny", scopes=["filestore:delete"]),
    ]
    decision = may(access_of([], grants), "delete", ONE, NodePath(b"a/b/c"))
    assert decision.rule is not None and decision.rule.pattern.text == "a/b" and "'a/b'" in decision.reason
    assert may(access_of([], grants), "write", ONE, NodePath(b"a/b/c")).allowed is False, (
        "`delete` is no scope: it takes all"
    )


def test_the_short_names_mean_what_they_meant() -> None:
    assert given_by(["read"]) == {"read"} and given_by(["admin"]) == ACTIONS
    assert {"read", "write", "move", "delete", "restore", "describe"} <= given_by(["write"])
    assert given_by(["filestore:write"]).isdisjoint({"move", "delete"})
    assert "credentials" not in given_by(["filestore:admin"])
    assert given_by(["of a newer release"]) == frozenset()


def test_a_suspended_tenant_only_reads() -> None:
    for grants in ([], [Grant("a", scopes=["write"])]):
        access = access_of(["admin"], grants, suspended="changes")
        assert may(access, "read", ONE, NodePath(b"a")).allowed
        assert not any(may(access, action, ONE, NodePath(b"a")).allowed for action in ACTIONS - {"read"})


def test_a_grant_for_a_place_gives_nothing_that_has_none() -> None:
    access = access_of([], [Grant("", mount=ONE, scopes=["admin"])])
    assert not may(access, "tokens").allowed and not may(access, "audit").allowed
    assert may(access, "mounts", ONE, ROOT).allowed and not may(access, "mounts", OTHER, ROOT).allowed
    assert access.mounts("read") == {ONE} and access_of(["read"]).mounts("read") is None


@pytest.mark.parametrize(
    ("scopes", "grants", "action", "code"),
    [
        (["read"], [], "write", "MISSING_SCOPE"),
        (["write"], [Grant("b")], "write", "NODE_NOT_FOUND"),
        (["write"], [Grant("", mount=OTHER)], "write", "BACKEND_NOT_FOUND"),
        (["write"], [Grant("a", "deny", scopes=["filestore:delete"])], "delete", "FORBIDDEN"),
        (["write"], [Grant("a", "deny")], "read", "NODE_NOT_FOUND"),
    ],
)
def test_what_may_not_be_read_does_not_exist(scopes: list[str], grants: list[Grant], action: Action, code: str) -> None:
    principal = Principal("ann", "main", 1, access_of(scopes, grants))
    with pytest.raises(FilestoreError) as refused:
        authorise(principal, action, ONE, NodePath(b"a"))
    assert refused.value.code == code
    assert isinstance(refused.value, (MissingScope, Forbidden)) or "grant" not in refused.value.message


def test_each_kind_of_command_needs_something_at_both_of_its_ends() -> None:
    for kind in CommandKind:
        target = "b" if kind in (CommandKind.MOVE, CommandKind.COPY, CommandKind.RESTORE) else None
        command = Command(
            CommandId("c"), kind, ONE, "a", "main", "ann", 1, target=target, target_mount_id=OTHER if target else None
        )
        asked = needs(command)
        assert [(mount, path.text) for _, mount, path in asked] == [(ONE, "a"), (OTHER, "b")][: len(asked)]
        assert len(asked) == (2 if target else 1)


def test_a_thousand_grants_cost_little() -> None:
    """A bound that no machine comes near; tests/bench has the figures. Going through all of them takes a hundred times as long."""
    grants = [Grant(f"team-{n}/project-{n % 7}", scopes=["write"]) for n in range(980)]
    grants += [Grant(f"team-{n}/**/*.key", "deny") for n in range(20)]
    access, path = access_of([], grants), NodePath(b"team-500/project-3/a/b")
    assert may(access, "write", ONE, path).allowed
    start = time.perf_counter()
    for _ in range(1000):
        may(access, "write", ONE, path)
    assert time.perf_counter() - start < 1.0


def test_what_grants_say_of_a_directory_is_made_once_and_of_many_is_not_kept_for_ever() -> None:
    places = access_of(["read"], [Grant(f"d{n}/x", "deny") for n in range(100)]).places("read", ONE)
    first = NodePath(b"d1")
    near = places.below(first)
    assert places.below(first) is near and near.names_in(first) is near.names_in(first)
    assert near.names_in(first)["denied_names"] == b"x" and not near.hold(NodePath(b"d1/x"))
    for n in range(2, 100):
        directory = NodePath(f"d{n}".encode())
        assert places.below(directory).names_in(directory)["denied_names"] == b"x"
    assert places.below(first) is not near and places.below(first) == near


def test_expressions_are_read_alike_by_postgres() -> None:
    """No escape that only one of both knows: a backslash stands before signs, and never before letters or digits."""
    for text in ("a.b*", "(x)|y*", "a{2}*", "^$*", "é?*", "**/[!a-c_.]-"):
        assert not re.search(r"\\[A-Za-z0-9]", pattern(text).expression or "")


def test_what_is_below_a_path_is_decided_alike_by_what_is_about_it_alone() -> None:
    random = Random(7)
    names = ["a", "b", "a.b", "-", "c0", "*", "?", "**"]

    def some(depth: int, wild: bool) -> str:
        return "/".join(random.choice(names if wild else names[:5]) for _ in range(random.randrange(depth)))

    for _ in range(300):
        grants = [Grant(some(4, wild=True), random.choice(["allow", "deny"])) for _ in range(random.randrange(8))]
        places = access_of(["read"], grants).places("read", MountId(1))
        at = NodePath(some(3, wild=False).encode())
        below = places.below(at)
        assert len(below.denied.bounds) <= max(1, len(places.denied.bounds))
        for _ in range(20):
            rest = some(3, wild=False).encode()
            path = NodePath(b"/".join(part for part in (at.raw, rest) if part))
            assert below.hold(path) == places.hold(path), (grants, at, path)


@given(
    st.lists(st.tuples(SUBTREES | GLOBS, st.sampled_from(["allow", "deny"])), max_size=5),
    PATHS,
    st.lists(NAMES, min_size=1, max_size=5),
)
def test_of_all_names_in_a_directory_the_same_is_said_as_of_each(
    grants: list[tuple[str, str]], directory: NodePath, names: list[bytes]
) -> None:
    access = access_of(["read"], [Grant(text, "allow" if effect == "allow" else "deny") for text, effect in grants])
    near = access.places("read", ONE).below(directory)
    each = [may(access, "read", ONE, NodePath(directory.as_directory + name)).allowed for name in names]
    assert near.hold_all_in(directory, names) is all(each)
