"""An intent comes back from its JSON as it was, and an earlier release's too."""

import json
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import pytest

from schema.commands import intents
from schema.commands.intents import BY_STEP, NESTED, Intent, kept_in, of_json

FACTS = [0, 11, 22, 5, 33, 44, 0, 0o644, 1]
SAMPLES: dict[str, Any] = {
    "stage": "s", "staged": FACTS, "trash": "2026-01-02/mine.0", "message": "m", "drift": "d", "identity": FACTS,
    "replaced_identity": FACTS, "expected": FACTS, "details": {"path": "x"}, "kind": "file", "sha256": "ab" * 32,
    "at": "6162", "place": "6162", "path": "6162", "shown": "ab", "b64": "YWI=", "name": "6162", "state": "active",
    "borrowed": True, "long": True, "items": True, "tree": True,
}  # fmt: skip


def filled(noun: type[Any], *, optional: bool) -> Any:
    """With a value in every field, or in those alone that need one."""
    values = {}
    for number, field in enumerate(fields(noun)):
        if optional or field.default is MISSING:
            nested = NESTED.get(field.name)
            values[field.name] = filled(nested, optional=optional) if nested else SAMPLES.get(field.name, 70 + number)
    return noun(**values)


@pytest.mark.parametrize("optional", [True, False], ids=["everything", "what it must say"])
@pytest.mark.parametrize("step", BY_STEP)
def test_an_intent_comes_back_from_its_json_as_it_was(step: str, optional: bool) -> None:
    intent = filled(BY_STEP[step], optional=optional)
    stored = json.loads(json.dumps(intent.to_json()))
    assert of_json(stored) == intent
    assert stored["step"] == step


@pytest.mark.parametrize("step", BY_STEP)
def test_no_noun_is_left_in_the_json(step: str) -> None:
    stored = filled(BY_STEP[step], optional=True).to_json()
    assert not any(is_dataclass(value) for value in stored.values())


def test_what_sql_asks_for_by_its_presence_is_absent_where_it_does_not_apply() -> None:
    created = filled(intents.Create, optional=False).to_json()
    moved = filled(intents.Move, optional=False).to_json()
    assert not {"source", "departs", "items", "borrowed"} & created.keys()
    assert not {"replaced", "items", "borrowed"} & moved.keys()


def test_a_row_of_an_earlier_release_is_read_and_its_unknown_keys_passed_over() -> None:
    stored = {
        "step": "create", "node": 9, "version": 1, "kind": "file", "size": 5, "sha256": None, "parent": 1, "at": "6162",
        "tree": False, "source": {"node": 7, "version": 3, "mount": 1, "path": "61", "identity": FACTS, "sha256": None},
        "long": True, "stage": None, "staged": None, "trash": "d/c.0", "opened": 1, "together": 3,
    }  # fmt: skip
    intent = of_json(stored)
    assert isinstance(intent, intents.Create) and intent.source is not None
    assert (intent.source.node, intent.source.place, intent.long, intent.items) == (7, None, True, False)


@pytest.mark.parametrize(("step", "field"), [(intents.Move, "replaced"), (intents.Create, "departs")])
def test_all_that_goes_to_the_trash_has_a_place_of_its_own(step: type[Intent], field: str) -> None:
    kept = kept_in(filled(step, optional=True), "2026-01-02/mine")
    leaving = getattr(kept, field)
    assert (kept.trash, leaving.trash) == ("2026-01-02/mine.0", f"2026-01-02/mine.{leaving.item}")
