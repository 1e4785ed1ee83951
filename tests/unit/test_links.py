"""Share links: what is signed, what a link may do now, and that a password is kept as a hash."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.access.decision import access_of, may
from schema.access.rules import Grant
from schema.ids import MountId
from schema.links.link import LinkKind, ShareLink, hash_password, is_password, may_make, new_key, parse
from schema.links.link import access_of as link_access
from schema.paths import NodePath

M = MountId(1)
LINK = ShareLink(7, "main", M, NodePath(b"team/f"), LinkKind.READ, datetime(2030, 1, 1, tzinfo=UTC), 5)
SHARER = ("filestore:read", "filestore:share", "filestore:write")


def test_an_address_is_signed_over_all_that_a_link_says() -> None:
    key = new_key()
    parsed = parse(LINK.text(key))
    assert parsed is not None and parsed[0] == 7 and LINK.is_signed(key, parsed[1])
    for other in (
        replace(LINK, id=8), replace(LINK, tenant="x"), replace(LINK, mount=MountId(2)), replace(LINK, kind=LinkKind.LIST),
        replace(LINK, path=NodePath(b"team")), replace(LINK, expires_at=None), replace(LINK, max_uses=None),
    ):  # fmt: skip
        assert not other.is_signed(key, parsed[1])
    assert not LINK.is_signed(new_key(), parsed[1])


@given(st.text())
def test_whatever_text_is_parsed_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or (found[0] > 0 and len(found[1]) == 43)


@pytest.mark.parametrize(
    "text", ["", "7", "7-", "0-" + "A" * 43, "7-" + "A" * 42, "7-" + "A" * 44, "07-" + "A" * 43, "7_" + "A" * 43, "-7-" + "A" * 43,
             "9" * 30 + "-" + "A" * 43, "7-" + "A" * 42 + "=", "7-" + "A" * 42 + "\n"]
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_link_does_one_thing_at_its_place() -> None:
    maker = access_of(SHARER)
    access = link_access(maker, LINK)
    assert may(access, "read", M, NodePath(b"team/f")).allowed
    for action in ("write", "delete", "share", "tokens", "mounts", "audit"):
        assert not may(access, action, M, NodePath(b"team/f")).allowed
        assert not may(access, action).allowed
    assert not may(access, "read", M, NodePath(b"team/g")).allowed
    assert not may(access, "read", MountId(2), NodePath(b"team/f")).allowed
    inbox = link_access(maker, replace(LINK, kind=LinkKind.UPLOAD, path=NodePath(b"team")))
    assert may(inbox, "write", M, NodePath(b"team/new")).allowed and not may(inbox, "write", M, NodePath(b"x")).allowed


def test_a_path_with_signs_of_patterns_stands_for_itself_alone() -> None:
    access = link_access(access_of(SHARER), replace(LINK, path=NodePath(b"*")))
    assert may(access, "read", M, NodePath(b"*")).allowed and not may(access, "read", M, NodePath(b"a")).allowed


@pytest.mark.parametrize(
    ("scopes", "grants"),
    [
        (("filestore:read",), []), (("filestore:share",), [Grant("elsewhere")]), (SHARER, [Grant("team", "deny")]),
        (SHARER, [Grant("team/f", "deny", scopes=("filestore:share",))]), (SHARER, [Grant("", mount=MountId(2))]), ((), []),
    ],
)  # fmt: skip
def test_it_does_nothing_where_its_maker_may_not_any_more(scopes: tuple[str, ...], grants: list[Grant]) -> None:
    maker = access_of(scopes, grants)
    assert not may_make(maker, LINK)
    assert not may(link_access(maker, LINK), "read", M, LINK.path).allowed


def test_what_is_denied_to_the_maker_below_a_folder_makes_no_link_of_the_folder() -> None:
    maker = access_of(SHARER, [Grant("team/secret", "deny")])
    assert not may_make(maker, replace(LINK, kind=LinkKind.LIST, path=NodePath(b"team")))
    assert may_make(maker, replace(LINK, kind=LinkKind.LIST, path=NodePath(b"team/open")))


def test_a_suspended_tenant_has_no_links() -> None:
    assert not may_make(access_of(SHARER, suspended="all"), LINK)


def test_a_password_is_kept_as_a_salted_hash() -> None:
    stored = hash_password("CANARY")
    assert "CANARY" not in stored and hash_password("CANARY") != stored
    assert is_password(stored, "CANARY") and not is_password(stored, "canary") and not is_password(stored, "")
