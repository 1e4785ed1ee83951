"""What stands in a history: every fact of a payload, and nothing that goes without saying."""

import dataclasses
import json
from typing import Any

import pytest

from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import Applied, AppliedList, Batch, Begun, Going
from schema.ids import CommandId, MountId
from workflows.converter import data_converter

ID = CommandId("01a1ff58-4c43-7583-9190-51df17b74fd0")
BARE = Command(
    id=ID, kind=CommandKind.UPLOAD, mount_id=MountId(7), path="f", tenant="main", principal="ann", token_id=1
)
TOLD = dataclasses.replace(
    BARE, path_b64="Zg==", key="k", hash="ab", has_metadata=True, overwrite=True, if_version=3, request_id="r",
    sha256="cd", size=5, staged=[0, 11, -1, 5, 1, 2, 1, 33188, 1, "tag", "edition"], failure="STORAGE_FULL",
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        Batch(MountId(7), [BARE, TOLD], atomic_id="all", turn=2),
        Begun(MountId(7), go=[Going(ID, 2)], refused=[ID], long=[ID], atomic=True),
        AppliedList(MountId(7), [Applied(ID, 1, Status.FAILED, code="X", message="m", retryable=True)], [ID]),
        {"a": None},
        "text",
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_comes_back_as_it_was(value: Any) -> None:
    converter = data_converter.payload_converter
    [payload] = converter.to_payloads([value])
    assert converter.from_payloads([payload], [type(value)]) == [value]


def test_what_has_its_default_is_left_out() -> None:
    [payload] = data_converter.payload_converter.to_payloads([Batch(MountId(7), [BARE])])
    assert json.loads(payload.data) == {
        "mount_id": 7,
        "requests": [{
            "id": ID, "kind": "uploadFile", "mount_id": 7, "path": "f", "tenant": "main", "principal": "ann", "token_id": 1,
        }],
    }  # fmt: skip
