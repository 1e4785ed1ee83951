"""What an upload remembers comes back from its JSON as it was, and that of an earlier release too."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, MountId, NodeId
from schema.uploads import Announcement, UploadEnd, of_json

COMMAND = Command(
    CommandId("01993d5e-7c1a-7000-8000-0123456789ab"), CommandKind.UPLOAD, MountId(3), "reports/q3.csv", "main", "ann", 7,
    key="k1", overwrite=True, mime_type="text/csv",
)  # fmt: skip
PART = Announcement(kind="partial", host="one")
WHOLE = Announcement(
    kind="whole",
    host="one",
    header="path YQ==",
    command=COMMAND,
    metadata={"a": [1, None]},
    claimed=("sha256:" + "ab" * 32,),
)
DIRECT = replace(WHOLE, kind="direct", host=None, header=None, until=datetime(2026, 11, 20, 12, 30, 15, 250, UTC))
FILE = UploadEnd(command=COMMAND.id, node=NodeId(9), outcome={"result": {"nodeId": 9}})
REFUSAL = UploadEnd(command=COMMAND.id, code="NODE_EXISTS", message="It is there.", details={"nodeId": 4})


@pytest.mark.parametrize("ended", [None, FILE, REFUSAL], ids=["open", "a file", "refused"])
@pytest.mark.parametrize("announced", [PART, WHOLE, DIRECT], ids=["part", "whole", "direct"])
def test_it_comes_back_from_its_json_as_it_was(announced: Announcement, ended: UploadEnd | None) -> None:
    announced = replace(announced, ended=ended)
    assert of_json(json.loads(json.dumps(announced.to_json()))) == announced


def test_what_an_earlier_release_wrote_is_read_and_unknown_keys_are_passed_over() -> None:
    stored = {
        "host": None, "kind": "direct", "header": None, "metadata": None, "told": ["sha256:00"], "unheard": 1,
        "command": {
            "id": COMMAND.id, "kind": "uploadFile", "mount_id": 3, "path": "a", "tenant": "main", "principal": "ann",
            "token_id": 7, "key": None, "dropped_since": True,
        },
        "until": "2026-11-20T12:30:15+00:00",
        "ended": {"command": COMMAND.id, "code": "NODE_EXISTS", "message": "m", "details": None, "more": 2},
    }  # fmt: skip
    found = of_json(stored)
    assert found.command is not None and found.command.kind is CommandKind.UPLOAD and found.command.mime_type is None
    assert found.until == datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)
    assert found.ended == UploadEnd(command=COMMAND.id, code="NODE_EXISTS", message="m")


def test_of_one_that_was_given_up_no_end_is_told() -> None:
    assert of_json({"host": "one", "kind": "partial", "ended": None}).ended is None


def test_all_that_was_announced_is_written_because_the_id_of_a_joined_upload_is_its_hash() -> None:
    assert set(PART.to_json()) == {"host", "kind", "header", "command", "metadata", "told"}
