"""The one decision: may a principal do this, here?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schema.access.actions import ACTIONS, WITHOUT_PLACE, Action, given, scopes_with, withheld
from schema.access.patterns import pattern
from schema.access.places import Places, reach
from schema.access.rules import Grant, GrantRule
from schema.ids import MountId
from schema.paths import ROOT, NodePath


@dataclass(frozen=True, slots=True)
class Permission:
    """`reason` says of a refusal which rule made it; of several that hold, the one with the longest pattern."""

    allowed: bool
    reason: str = ""
    rule: GrantRule | None = None


ALLOWED = Permission(True)


@dataclass(frozen=True, slots=True)
class Access:
    """What a token may do: made once, asked often. `general`: where no place is asked about. `rules`: where one is."""

    general: frozenset[Action]
    rules: Sequence[GrantRule]
    narrowed: bool = False
    """Grants say where: it may not do all that its scopes say on all mounts."""
    suspended: bool = False
    _places: dict[tuple[Action, MountId], Places] = field(default_factory=dict, compare=False, repr=False)

    def places(self, action: Action, mount: MountId) -> Places:
        known = self._places.get((action, mount))
        if known is None:
            known = self._places[action, mount] = self._compiled(action, mount)
        return known

    def _compiled(self, action: Action, mount: MountId) -> Places:
        some = [rule for rule in self.rules if rule.concerns(action, mount)]
        allowed, denied = ([rule.pattern for rule in some if rule.effect == effect] for effect in ("allow", "deny"))
        return Places(reach(allowed), reach(denied))

    def somewhere(self, action: Action) -> bool:
        """Whether there is a place, or no place needed, for this action."""
        if action in WITHOUT_PLACE:
            return action in self.general
        return any(rule.effect == "allow" and action in rule.actions for rule in self.rules)

    def everywhere(self, action: Action) -> bool:
        """On every mount there is or will be, but for what is denied."""
        if action in WITHOUT_PLACE:
            return action in self.general
        return any(r.effect == "allow" and action in r.actions and r.mount is None and r.pattern.start == ROOT
                   and r.pattern.expression is None for r in self.rules)  # fmt: skip

    def closed_mounts(self, action: Action) -> set[MountId]:
        """Those that grants close as a whole."""
        named = {rule.mount for rule in self.rules if rule.effect == "deny" and rule.mount is not None}
        return {mount for mount in named if self.places(action, mount).none}

    def mounts(self, action: Action) -> set[MountId] | None:
        """Those on which there may be a place for it. None: all."""
        some = [rule for rule in self.rules if rule.effect == "allow" and action in rule.actions]
        return None if any(rule.mount is None for rule in some) else {r.mount for r in some if r.mount is not None}


def access_of(scopes: Iterable[str], grants: Iterable[Grant] = (), *, suspended: str | None = None) -> Access:
    """Without a grant that allows something, the scopes hold on every mount of the tenant. With one, each grant says what
    holds at its place. `suspended`: its tenant is; `changes` leaves reading."""
    names, grants = tuple(scopes), tuple(grants)
    left = _LEFT[suspended]
    rules = [_rule(grant, names, left) for grant in grants]
    if not any(grant.effect == "allow" for grant in grants):
        rules.append(GrantRule("allow", None, pattern(""), (given(names) & left) - WITHOUT_PLACE))
    return Access(given(names) & left, rules, bool(grants), suspended is not None)


_LEFT: Mapping[str | None, frozenset[Action]] = {None: ACTIONS, "changes": frozenset({"read"}), "all": frozenset()}
"""What a tenant may still do, by how it is suspended"""


def _rule(grant: Grant, scopes: Sequence[str], left: frozenset[Action]) -> GrantRule:
    actions = given(grant.scopes or scopes) & left if grant.effect == "allow" else _withheld(grant)
    return GrantRule(grant.effect, grant.mount, pattern(grant.pattern), actions - WITHOUT_PLACE)


def _withheld(grant: Grant) -> frozenset[Action]:
    return withheld(grant.scopes) if grant.scopes else ACTIONS


def may(
    access: Access, action: Action, mount: MountId | None = None, path: NodePath | None = None, *, tree: bool = False
) -> Permission:
    """No mount: is there a place at all? No path: is there one on this mount? `tree`: also whatever is below the path."""
    if mount is None or action in WITHOUT_PLACE:
        return ALLOWED if access.somewhere(action) else _lacks(action)
    places = access.places(action, mount)
    if path is None:
        return _lacks(action) if places.none else ALLOWED
    if places.hold_tree(path) if tree else places.hold(path):
        return ALLOWED
    return _explained(access, action, mount, path, tree=tree)


def _lacks(action: Action) -> Permission:
    return Permission(False, f"The token has no scope with the action {action!r}: {', '.join(scopes_with(action))}.")


def _explained(access: Access, action: Action, mount: MountId, path: NodePath, *, tree: bool) -> Permission:
    some = [rule for rule in access.rules if rule.concerns(action, mount)]
    denies = [rule for rule in some if rule.effect == "deny" and rule.pattern.holds(path)]
    if denies:
        rule = max(denies, key=lambda one: len(one.pattern.text))
        return Permission(False, f"The grant for {rule.pattern.text!r} denies {action!r} here.", rule)
    below = [rule for rule in some if rule.effect == "deny" and rule.pattern.may_meet_below(path)]
    if tree and below:
        rule = max(below, key=lambda one: len(one.pattern.text))
        return Permission(
            False,
            f"The grant for {rule.pattern.text!r} denies {action!r} below this path, and all below it is meant.",
            rule,
        )
    return Permission(False, f"No grant of the token allows {action!r} here.")
