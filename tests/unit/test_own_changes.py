"""Our own changes are recognised by identity: every stamp has to be the one on record."""

import pytest

from schema.drift.hints import Hint
from schema.drift.own import Own, RecordedName, There, whose, widened

FILE = (0, 7, 100, 5, 200, 300, 0o100644)
FOLDER = (0, 8, 100, 4096, 200, 300, 0o40755)


def known(
    facts: tuple[int | None, ...], directory: bool = False, active: bool = True, claimed: bool = False
) -> RecordedName:
    return RecordedName(known=True, active=active, directory=directory, facts=facts, claimed=claimed)


def test_a_file_with_every_stamp_on_record_is_ours() -> None:
    assert whose(There(FILE), known(FILE)) is Own.OURS


@pytest.mark.parametrize("n", range(len(FILE)))
def test_a_file_with_one_other_stamp_is_strange(n: int) -> None:
    other = tuple(fact + (at == n) for at, fact in enumerate(FILE))
    assert whose(There(other), known(FILE)) is Own.STRANGE


def test_a_stamp_that_the_record_lacks_proves_nothing() -> None:
    assert whose(There((*FILE[:5], 0, FILE[6])), known((*FILE[:5], None, FILE[6]))) is Own.STRANGE


def test_nothing_there_is_ours_where_the_record_has_nothing() -> None:
    assert whose(There(), RecordedName()) is Own.OURS
    assert whose(There(), known(FILE)) is Own.STRANGE


def test_a_name_at_which_a_command_works_waits_for_its_end() -> None:
    assert whose(There(), known(FILE, claimed=True)) is Own.BUSY
    assert whose(There(FILE), RecordedName(claimed=True)) is Own.BUSY


def test_a_node_that_is_inconsistent_or_missing_is_looked_at() -> None:
    assert whose(There(FILE), known(FILE, active=False)) is Own.STRANGE


def test_of_a_directory_the_stamps_that_its_entries_move_are_not_asked() -> None:
    moved_on = (*FOLDER[:3], 8192, 999, 999, FOLDER[6])
    assert whose(There(moved_on, directory=True), known(FOLDER, directory=True)) is Own.OURS
    assert whose(There((*FOLDER[:6], 0o40700), directory=True), known(FOLDER, directory=True)) is Own.STRANGE
    assert whose(There((0, 9, *FOLDER[2:]), directory=True), known(FOLDER, directory=True)) is Own.STRANGE


def test_a_file_in_place_of_a_directory_is_strange() -> None:
    assert whose(There(FOLDER), known(FOLDER, directory=True)) is Own.STRANGE


def test_an_unknown_directory_is_looked_at_with_all_that_is_in_it() -> None:
    hint = Hint(b"d", False, "arrived")
    assert widened(hint, There(FOLDER, directory=True), RecordedName()).subtree
    assert widened(hint, There(FOLDER, directory=True), known((0, 9, *FOLDER[2:]), directory=True)).subtree
    assert not widened(hint, There((*FOLDER[:6], 0o40700), directory=True), known(FOLDER, directory=True)).subtree
    assert not widened(hint, There(FILE), RecordedName()).subtree
    assert not widened(hint, There(), RecordedName()).subtree
