"""Command ids are UUIDv7, and each has a lock of its own."""

import time
import uuid

from schema.ids import CommandId, lock_offset, new_command_id


def test_a_command_id_is_a_lower_case_uuid_of_version_7() -> None:
    value = uuid.UUID(new_command_id())
    assert value.version == 7 and value.variant == uuid.RFC_4122
    assert str(value) == str(value).lower()


def test_a_command_id_starts_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid.UUID(new_command_id()).int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_made_at_once_are_all_different_and_lock_different_bytes() -> None:
    ids = [new_command_id() for _ in range(20_000)]
    assert len(set(ids)) == len({lock_offset(one) for one in ids}) == len(ids)


def test_a_lock_offset_fits_into_a_file_offset() -> None:
    assert 0 <= lock_offset(CommandId("ffffffff-ffff-7fff-bfff-ffffffffffff")) < 2**63 - 1
