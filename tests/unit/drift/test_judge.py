"""The rules of the drift protocol that are decided when a look is concluded, each by the trace that breaks without it."""

from dataclasses import replace

import pytest

from schema.drift.acts import Deed, LookOutcome
from schema.drift.judge import DriftVerdict, Scope, judge, missed
from schema.drift.policy import Policy
from schema.drift.sightings import Believed, Record, Sighting, SightState, key_of
from tests.unit.drift.world import ASKED, ENFORCED, ROOT, World, settled

CHANGING = SightState.CHANGING


def verdicts(world: World, seen: list[Sighting] | None = None, *, whole: bool = True) -> dict[bytes, DriftVerdict]:
    judged = world.judged(world.see() if seen is None else seen, whole=whole)
    return {one.sighting.path: one.verdict for one in judged.conclusions}


def deeds(outcome: LookOutcome) -> list[Deed]:
    return [act.deed for act in outcome.acts]


def only(world: World, path: bytes) -> list[Sighting]:
    return world.see([path])


# Two looks, and who confirms what


def test_twice_a_node_is_missing_only_after_another_look() -> None:
    world = settled(b"a")
    world.remove(b"a")
    assert deeds(world.look()) == [Deed.DOUBT]
    assert world.nodes[2].state == "inconsistent"
    assert deeds(world.look()) == [Deed.MISS]
    assert world.nodes[2].state == "missing"


def test_gen_the_same_look_concluded_again_is_no_second_look() -> None:
    world = settled(b"a")
    world.remove(b"a")
    seen = world.see()
    world.look()
    assert deeds(world.conclude(seen)) == []
    assert missed(replace(world.nodes[2], missed_in=7), 7) is None


def test_a_node_that_came_back_between_two_looks_is_missed_anew() -> None:
    world = settled(b"a")
    file = world.disk[b"a"]
    world.remove(b"a")
    world.look()
    world.disk[b"a"] = file
    assert deeds(world.look()) == [Deed.STAMPS]
    world.remove(b"a")
    assert deeds(world.look()) == [Deed.DOUBT]


# What one look may conclude


def test_wide_a_look_at_one_name_takes_no_file_for_the_one_that_was_there() -> None:
    world = settled(b"a", b"b")
    world.rename(b"a", b"b")
    world.put(b"a", b"other")
    outcome = world.conclude(only(world, b"a"), whole=False)
    assert (deeds(outcome), outcome.unsure) == ([Deed.DOUBT], True)
    world.look()
    assert world.at(b"b") is not None and world.now(2).path == b"b", "the node followed its file"


def test_wide_a_look_at_both_ends_sees_a_move() -> None:
    world = settled(b"a")
    world.rename(b"a", b"b")
    assert verdicts(world, only(world, b"b"), whole=False) == {}
    assert verdicts(world, whole=False) == {b"a": DriftVerdict.LEFT, b"b": DriftVerdict.MOVED}


def test_stable_a_directory_that_changed_while_it_was_listed_loses_nothing() -> None:
    world = settled(b"a", b"b")
    world.remove(b"a")
    world.put(b"b", b"other")
    assert verdicts(world, [replace(one, stable=False) for one in world.see()]) == {b"b": DriftVerdict.UNSURE}


def test_racy_and_restat_a_file_that_changes_is_left_alone() -> None:
    world = settled(b"a")
    world.edit(b"a", b"half")
    assert verdicts(world, [replace(one, state=CHANGING) for one in world.see()]) == {}


def test_whose_a_changing_file_still_says_whose_it_is() -> None:
    world = settled(b"a", b"b")
    world.rename(b"a", b"b")
    world.put(b"a", b"new")
    seen = [replace(one, state=CHANGING) if one.path == b"b" else one for one in world.see()]
    assert verdicts(world, seen) == {}, "the old name is not taken for replaced while its file rests nowhere"


# Commands


@pytest.mark.parametrize("rule", ["claimed", "since"])
def test_a_name_at_which_a_command_works_or_has_worked_waits(rule: str) -> None:
    world = settled(b"a")
    world.remove(b"a")
    assert verdicts(world, [replace(one, waits=True) for one in world.see()]) == {}


def test_version_a_node_that_changed_since_the_look_began_waits_wherever_it_is_seen() -> None:
    world = settled(b"a")
    world.rename(b"a", b"b")
    record = world.record(lambda node: replace(node, busy=True))
    assert judge(world.see(), record, Scope(True)).conclusions == []


def test_intent_a_file_of_a_running_command_waits_wherever_it_is_seen() -> None:
    world = settled(b"a")
    staged = world.put(b"b", b"staged")
    held = frozenset([key_of(staged.facts) or (0, 0, 0)])
    assert judge(world.see(), Record(world.believed, held), Scope(True)).conclusions == []


def test_readback_times_that_a_command_stored_prove_nothing() -> None:
    world = settled(b"a")
    world.nodes[2] = replace(world.nodes[2], provisional=True)
    assert verdicts(world) == {b"a": DriftVerdict.SAME}
    assert deeds(world.look()) == [Deed.STAMPS]


def test_hash_decides_another_ctime_is_no_drift_by_itself() -> None:
    world = settled(b"a")
    world.disk[b"a"].time += 1
    assert (verdicts(world), deeds(world.look())) == ({b"a": DriftVerdict.SAME}, [Deed.STAMPS])


# Whose file it is


def test_adopt_a_node_without_a_file_takes_the_one_at_its_path_that_has_its_content() -> None:
    world = settled(b"same", b"other", b"unread", b"longer", b"d/", b"d/e", b"twice", b"gone")
    world.nodes = {id: replace(node, facts=()) for id, node in world.nodes.items()}
    for path, content in ((b"unread", b"x"), (b"longer", b"xx")):
        node = world.at(path)
        assert node is not None
        world.nodes[node.id] = replace(world.nodes[node.id], sha256=None, size=1)
        world.edit(path, content)
    world.edit(b"other", b"what another program wrote")
    world.disk[b"link"] = world.disk[b"twice"]
    world.remove(b"gone")
    seen = [replace(one, facts=(*one.facts[:8], 2)) if one.path in (b"twice", b"link") else one for one in world.see()]
    found = verdicts(world, seen)
    kept = {path for path, verdict in found.items() if verdict is DriftVerdict.SAME}
    assert kept == {b"same", b"unread", b"d", b"d/e"}
    assert {path: found[path] for path in found.keys() - kept} == {
        b"other": DriftVerdict.REPLACED, b"longer": DriftVerdict.REPLACED, b"twice": DriftVerdict.LINKED,
        b"link": DriftVerdict.LINKED, b"gone": DriftVerdict.GONE,
    }  # fmt: skip


def test_adopt_changes_no_node_and_is_counted_by_no_brake() -> None:
    world = settled(b"a", b"d/", b"d/e")
    before = world.nodes
    world.nodes = {id: replace(node, facts=()) for id, node in before.items()}
    outcome = world.look()
    assert (set(deeds(outcome)), outcome.changes) == ({Deed.STAMPS}, 0)
    assert {id: node.facts for id, node in world.nodes.items()} == {id: node.facts for id, node in before.items()}


def test_adopt_leaves_a_file_that_is_known_to_be_another_node_s() -> None:
    world = settled(b"a", b"b")
    world.edit(b"a", world.disk[b"b"].content)
    world.nodes[3] = replace(world.nodes[3], facts=())
    world.rename(b"a", b"b")
    found = verdicts(world)
    assert (found[b"a"], found[b"b"]) == (DriftVerdict.LEFT, DriftVerdict.MOVED)


def test_btime_a_number_that_is_used_again_is_another_file() -> None:
    world = settled(b"a")
    inode = world.disk[b"a"].inode
    world.remove(b"a")
    file = world.put(b"b", b"other")
    facts = (0, inode, *file.facts[2:])
    seen = [replace(one, facts=facts) if one.path == b"b" else one for one in world.see()]
    assert verdicts(world, seen) == {b"a": DriftVerdict.GONE, b"b": DriftVerdict.NEW}


def test_id_first_a_swap_is_two_moves_and_no_change_of_content() -> None:
    world = settled(b"a", b"b")
    world.rename(b"a", b"t")
    world.rename(b"b", b"a")
    world.rename(b"t", b"b")
    assert verdicts(world) == {b"a": DriftVerdict.MOVED, b"b": DriftVerdict.MOVED}
    assert deeds(world.look()) == [Deed.PLACE, Deed.PLACE]
    assert (world.now(2).path, world.now(3).path) == (b"b", b"a")


def test_together_who_waits_makes_waiting_what_depends_on_it() -> None:
    world = settled(b"a", b"b", b"c")
    world.rename(b"b", b"c")
    world.rename(b"a", b"b")
    world.put(b"a", b"new")
    assert verdicts(world) == {b"a": DriftVerdict.NEW, b"b": DriftVerdict.MOVED, b"c": DriftVerdict.MOVED}
    seen = [replace(one, waits=one.path == b"c") for one in world.see()]
    assert verdicts(world, seen) == {}


def test_revive_a_file_that_comes_back_is_its_old_node() -> None:
    world = settled(b"a")
    file = world.disk[b"a"]
    world.remove(b"a")
    world.look()
    world.look()
    world.disk[b"b"] = file
    assert verdicts(world)[b"b"] is DriftVerdict.MOVED
    world.look()
    assert (world.now(2).path, world.now(2).state) == (b"b", "active")


def test_both_ends_a_file_seen_at_two_names_moves_nowhere_and_is_not_new() -> None:
    world = settled(b"a")
    file = world.put(b"b", b"new")
    world.disk[b"c"] = file
    assert verdicts(world) == {}
    world.disk[b"d"] = world.disk[b"a"]
    assert verdicts(world) == {}


def test_a_name_given_to_a_known_file_is_a_finding_and_no_second_node() -> None:
    world = settled(b"a")
    file = world.disk[b"a"]
    linked = (*file.facts[:8], 2)
    seen = [Sighting(b"b", SightState.SEEN, "file", linked, b"a", within=1)]
    outcome = world.conclude(seen)
    assert [(report.kind, report.path) for report in outcome.reports] == [("linked", b"b")]
    assert outcome.acts == []


def test_noname_a_node_whose_name_another_one_takes_is_missing_and_has_none() -> None:
    world = settled(b"a", b"b")
    world.rename(b"a", b"b")
    assert deeds(world.look()) == [Deed.DISPLACE, Deed.PLACE]
    assert (world.now(2).path, world.now(3).state) == (b"b", "missing")
    assert b"\0" in world.now(3).name


def test_a_name_goes_on_where_a_program_saves_by_rename() -> None:
    world = settled(b"a")
    world.put(b"t", b"saved")
    world.rename(b"t", b"a")
    assert verdicts(world) == {b"a": DriftVerdict.REPLACED}
    world.look()
    assert (world.now(2).version, world.now(2).sha256) == (2, b"saved")


def test_a_directory_in_the_place_of_a_file_is_another_node() -> None:
    world = settled(b"a")
    world.remove(b"a")
    world.put(b"a", kind="directory")
    assert deeds(world.look()) == [Deed.DISPLACE, Deed.CREATE]


def test_a_moved_tree_is_one_move() -> None:
    world = settled(b"d/", *(b"d/%d" % n for n in range(50)))
    world.rename(b"d", b"e")
    outcome = world.look()
    assert deeds(outcome) == [Deed.PLACE]
    assert world.differences == []


def test_what_can_not_be_read_is_a_finding_and_never_gone() -> None:
    world = settled(b"a")
    seen = [Sighting(b"a", SightState.UNREADABLE, "file", world.disk[b"a"].facts, within=1, code="FORBIDDEN")]
    outcome = world.conclude(seen)
    assert ([report.kind for report in outcome.reports], outcome.acts) == (["unreadable"], [])


def test_an_object_is_known_by_its_key_and_its_etag_says_what_it_holds() -> None:
    facts = (0, 0, 0, 5, 0, 0, 0, 0, 1, "etag-1", "")
    node = Believed(2, 1, b"a", b"a", "file", "active", 1, facts, b"x")
    other = Sighting(b"a", SightState.SEEN, "file", (*facts[:9], "etag-2", ""), b"y", within=1)
    same, rotten = replace(other, facts=facts, sha256=b"x"), replace(other, facts=facts)
    said = [judge([one], Record([node]), Scope(True)).conclusions[0].verdict for one in (other, same, rotten)]
    assert said == [DriftVerdict.CHANGED, DriftVerdict.SAME, DriftVerdict.DAMAGED]


def test_other_bytes_under_the_same_times_are_damage_and_no_change_that_a_policy_imports() -> None:
    world = settled(b"a")
    rotten = Sighting(b"a", SightState.SEEN, "file", world.nodes[2].facts, b"other", ROOT)
    assert verdicts(world, [rotten]) == {b"a": DriftVerdict.DAMAGED}
    outcome = world.conclude([rotten])
    assert (deeds(outcome), [(one.kind, one.action) for one in outcome.reports]) == (
        [Deed.DOUBT], [("damaged", "restore")],
    )  # fmt: skip
    observing = world.conclude([rotten], Policy())
    assert [(one.state, one.action) for one in observing.reports] == [("open", "ask")] and not observing.acts


# The policy


def test_a_look_that_only_observes_writes_findings_and_no_nodes() -> None:
    world = settled(b"a", b"b", b"c")
    world.remove(b"a")
    world.edit(b"b", b"other")
    world.rename(b"c", b"e")
    world.put(b"d/x".partition(b"/")[0], kind="directory")
    world.put(b"d/x", b"new")
    outcome = world.look(replace(ENFORCED, phase=ENFORCED.phase.OBSERVE))
    assert outcome.acts == []
    said = {report.path: report.kind.value for report in outcome.reports}
    assert said == {b"a": "missing", b"b": "changed", b"d": "new", b"e": "moved"}


def test_by_hand_a_look_acts_even_where_others_only_observe() -> None:
    world = settled(b"a")
    world.edit(b"a", b"other")
    assert deeds(world.look(replace(ENFORCED, phase=ENFORCED.phase.OBSERVE), by_hand=True)) == [Deed.CONTENT]


def test_what_a_person_decides_leaves_the_node_in_doubt_until_then() -> None:
    world = settled(b"a", b"b")
    world.edit(b"a", b"other")
    world.put(b"c", b"new")
    outcome = world.look(ASKED)
    assert [(report.path, report.kind.value, report.state.value) for report in outcome.reports] == [
        (b"a", "changed", "open"),
        (b"c", "new", "open"),
    ]
    assert (deeds(outcome), world.now(2).state) == ([Deed.DOUBT], "inconsistent")


def test_a_move_is_recorded_whatever_the_policy_and_takes_the_new_directory_along() -> None:
    world = settled(b"a")
    world.put(b"d", kind="directory")
    world.rename(b"a", b"d/a")
    assert deeds(world.look(ASKED)) == [Deed.CREATE, Deed.PLACE]
    assert world.differences == []


def test_what_lies_in_a_directory_at_the_name_of_a_file_waits_until_that_is_judged() -> None:
    """Only a look at everything can tell what has become of the file; until then nothing is below it."""
    world = settled(b"a")
    world.remove(b"a")
    world.put(b"a", kind="directory")
    world.put(b"a/below", b"x")
    judgement = world.judged(world.see(), whole=False)
    assert [(one.sighting.path, one.verdict) for one in judgement.conclusions] == [(b"a", DriftVerdict.UNSURE)]
    assert judgement.waiting == [b"a/below"]


def test_what_was_seen_in_a_directory_that_is_a_file_by_now_waits() -> None:
    world = settled()
    world.put(b"d", kind="directory")
    world.put(b"d/below", b"x")
    seen = world.see()
    now = [replace(one, kind="file", sha256=b"y") if one.path == b"d" else one for one in seen]
    assert [one.sighting.path for one in world.judged(now).conclusions] == [b"d"]
