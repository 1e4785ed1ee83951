"""The AsyncAPI document: valid, served, written down, and complete. `running_service` compares every form of event with it."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api.drift.shapes import ReconciliationJob
from api.events.asyncapi import document, message_name
from api.events.payloads import EVENTS, JobEventData
from schema.events import EventType
from schema.version import VERSION
from tests.api.conftest import FrontOfTest
from tests.events_forms import unlike

WRITTEN = Path(__file__).resolve().parents[3] / "docs" / "asyncapi.json"


def model() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of its fields shadow pydantic's
        from asyncapi3.models.asyncapi import AsyncAPI3  # type: ignore[import-untyped]
    return AsyncAPI3


def test_the_document_is_valid() -> None:
    made = document(VERSION)
    model().model_validate(made)
    del made["info"]["title"]
    with pytest.raises(ValidationError):
        model().model_validate(made)


def test_every_reference_leads_somewhere() -> None:
    made = document(VERSION)
    references = [line.split('"')[3] for line in json.dumps(made, indent=0).splitlines() if line.startswith('"$ref"')]
    assert len(references) > 40
    for reference in references:
        place: Any = made
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


async def test_it_is_served_to_all(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        answer = await anonymous.get("/asyncapi.json")
    assert answer.status_code == 200 and answer.json() == document(VERSION)


def test_it_is_written_in_docs() -> None:
    text = json.dumps(document(VERSION), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("WRITE_ASYNCAPI"):
        WRITTEN.write_text(text, encoding="utf-8")
    assert WRITTEN.read_text(encoding="utf-8") == text, (
        "write it anew: WRITE_ASYNCAPI=1 pytest tests/api/events/test_asyncapi.py"
    )


def test_every_type_of_the_feed_is_described() -> None:
    assert set(EVENTS) == set(EventType)
    assert len({message_name(type_) for type_ in EventType}) == len(EventType)
    assert JobEventData.model_fields.keys() == ReconciliationJob.model_fields.keys(), (
        "an event of a job is the whole job"
    )


def test_what_is_not_described_is_found() -> None:
    data = {
        "backendMountId": 1, "nodeId": 2, "path": "a", "detectedAt": "2026-01-01T00:00:00Z", "reason": "changed",
        "reporter": None, "metadata": {},
    }  # fmt: skip
    assert unlike([(EventType.DRIFT_DETECTED, data)]) == []
    assert "surplus" in unlike([(EventType.DRIFT_DETECTED, data | {"surplus": 1})])[0]
    assert "path" in unlike([(EventType.DRIFT_DETECTED, {k: v for k, v in data.items() if k != "path"})])[0]
