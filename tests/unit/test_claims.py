"""Claims of a token of another issuer give what rules say, and nothing where a claim is odd."""

from typing import Any

import pytest

from schema.access.claims import ClaimGrant, ClaimRule, IssuedRights, claim, rights_of
from schema.access.rules import Grant
from schema.errors import Unauthenticated

ADMINS = ClaimRule(["filestore:admin"], when={"groups": "admins"})
HOME = ClaimRule(["filestore:read"], [ClaimGrant("home/{user}")])
CLAIMS: dict[str, Any] = {
    "sub": "1",
    "email": "ann@x",
    "user": "ann",
    "groups": ["dev", "admins"],
    "realm": {"roles": ["r"]},
}


def rights(claims: dict[str, Any], *rules: ClaimRule, principal: str = "email") -> IssuedRights:
    return rights_of(claims, rules, issuer="https://id", prefix="corp", principal=principal)


def test_rules_that_fit_add_up() -> None:
    found = rights(CLAIMS, ADMINS, HOME)
    assert (found.principal, found.tenant, found.scopes) == (
        "corp:ann@x",
        "main",
        ["filestore:admin", "filestore:read"],
    )
    assert found.grants == [Grant("home/ann", "allow", None, ())]
    assert rights(CLAIMS | {"groups": ["dev"]}, ADMINS, HOME).scopes == ["filestore:read"]


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"groups": "dev"}, True), ({"groups": ["x", "admins"]}, True), ({"groups": "adm"}, False), ({"user": "ann"}, True),
        ({"user": "ann", "groups": "none"}, False), ({"realm.roles": "r"}, True), ({"realm.none": "r"}, False), ({}, True),
        ({"none": None}, True), ({"sub": 1}, False), ({"email.x": "a"}, False),
    ],
)  # fmt: skip
def test_a_rule_fits_by_the_value_of_claims(when: dict[str, Any], fits: bool) -> None:
    assert ClaimRule([], when=when).fits(CLAIMS) is fits


def test_true_is_not_one() -> None:
    assert not ClaimRule([], when={"admin": 1}).fits({"admin": True})
    assert not ClaimRule([], when={"admin": True}).fits({"admin": "true"})


@pytest.mark.parametrize("user", ["..", ".", "", "a/b", "*", "a?", "[a]", "a\0", None, 5, ["ann"], "x" * 201])
def test_a_claim_that_could_be_another_place_gives_nothing(user: Any) -> None:
    with pytest.raises(Unauthenticated):
        rights(CLAIMS | {"user": user}, HOME)
    with pytest.raises(Unauthenticated):
        rights(CLAIMS | {"user": user}, ClaimRule(["read"], tenant="t-{user}"))


def test_without_a_rule_or_a_name_there_is_nothing() -> None:
    for claims, rules in ((CLAIMS | {"groups": []}, [ADMINS]), (CLAIMS, []), (CLAIMS | {"email": 5}, [HOME]),
                          (CLAIMS | {"email": ""}, [HOME]), (CLAIMS | {"email": "a\nb"}, [HOME])):  # fmt: skip
        with pytest.raises(Unauthenticated):
            rights(claims, *rules)


def test_rules_of_another_tenant_than_the_first_add_nothing() -> None:
    found = rights(CLAIMS, ClaimRule(["read"], tenant="{user}"), ClaimRule(["admin"], tenant="main"))
    assert (found.tenant, found.scopes) == ("ann", ["read"])


def test_other_rights_are_another_row() -> None:
    one = rights(CLAIMS, ADMINS, HOME)
    same = rights(CLAIMS | {"exp": 5}, ADMINS, HOME)
    assert one.digest == same.digest and len(one.digest) == 32
    changes: list[dict[str, Any]] = [{"sub": "2"}, {"user": "eve"}, {"groups": []}, {"email": "e"}]
    others = [rights(CLAIMS | change, ADMINS, HOME) for change in changes]
    assert len({one.digest, *(other.digest for other in others)}) == 5


def test_claims_lie_in_others_by_dots_and_a_name_with_dots_comes_first() -> None:
    assert claim({"a": {"b": 1}}, "a.b") == 1 and claim({"a.b": 2, "a": {"b": 1}}, "a.b") == 2
    assert claim({"a": 1}, "a.b") is None
