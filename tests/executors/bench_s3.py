"""The bench on a bucket: a stranger that writes to it with a client of its own."""

from pathlib import Path
from typing import Any

from activities.executors.s3.executor import S3Executor
from schema.ids import CommandId
from tests.fix_s3 import S3Mount

DIFFERENT = {
    "test_a_created_file_appears_with_its_staged_identity": "the identity of what appears is its ETag, told by the store",
    "test_names_that_no_command_takes_are_told_as_they_are": "the store takes no backslash: test_s3_reading.py, "
    "test_keys_that_are_no_paths_are_told_as_unseen",
    "test_any_name_a_disk_takes_is_taken": "keys are UTF-8: test_s3_names.py",
    "test_a_stage_somebody_wrote_into_is_not_published": "kept in the spool: test_s3_steps.py",
    "test_a_file_under_the_name_of_the_stage_is_not_published": "its hash decides: test_s3_steps.py",
    "test_what_was_done_to_our_file_since_is_drift_and_not_recorded_as_ours": "identities differ: test_s3_steps.py",
    "test_a_replace_swaps_the_content_and_keeps_the_old_one_in_the_trash": "the trash is filled first: test_s3_steps.py",
    "test_replace_puts_back_what_was_swapped_in_between_look_and_step": "a condition refuses, nothing is put back",
    "test_replace_puts_back_what_was_written_in_place_between_look_and_step": "the same",
    "test_a_later_attempt_puts_back_what_an_earlier_one_took_by_mistake": "a condition never takes by mistake",
    "test_strangers_bytes_return_to_a_name_that_is_free": "the same",
    "test_strangers_bytes_without_a_place_are_kept_in_the_trash": "the same",
    "test_a_replace_done_again_is_recognised": "old content waits in the trash: test_s3_steps.py",
    "test_a_recognised_replace_tells_what_happened_since": "identities differ: test_s3_steps.py",
    "test_a_replace_is_recognised_though_the_old_content_was_taken_away": "the old content is not in the stage",
    "test_delete_keeps_what_it_can_not_put_back": "a condition never takes by mistake",
    "test_delete_puts_back_what_was_swapped_in_between_look_and_step": "the same: test_s3_steps.py",
    "test_finish_never_removes_bytes_that_are_not_ours": "kept in the spool: test_s3_steps.py",
    "test_finish_keeps_old_content_that_was_edited_after_the_step": "the old content is not in the stage",
    "test_finish_of_a_success_never_unlinks": "a published stage is not needed any more",
    "test_reverse_touches_nothing_where_somebody_has_been_since": "old content waits in the trash: test_s3_steps.py",
    "test_what_is_written_into_is_no_longer_unchanged": "an object is never written into: a reader that meets another "
    "one is broken off: test_s3_reading.py, test_a_reader_never_mixes_two_contents",
    "test_a_move_that_took_something_else_is_unclear_and_leaves_it_there": "a condition never takes by mistake: "
    "test_s3_steps.py, test_a_move_takes_only_what_the_record_knows",
    "test_a_move_whose_process_died_is_taken_once": "the source goes in `finish`: test_s3_moves.py, same name",
    "test_a_resumed_move_that_finds_nothing_at_either_end_is_unclear": "its mark tells that it happened: "
    "test_s3_moves.py, test_a_moved_file_that_was_removed_since_is_drift",
    "test_a_recognised_move_tells_what_happened_since": "the source lies there until `finish`: test_s3_moves.py, "
    "test_a_moved_file_that_was_changed_since_is_drift",
    "test_a_move_is_not_reversed_where_somebody_has_been_since": "the source lies there until `finish`: "
    "test_s3_moves.py, same name",
    "test_a_move_onto_a_file_is_taken_back_when_one_was_swapped_in_the_last_moment": "a condition refuses, nothing is "
    "taken back: test_s3_moves.py, test_a_move_onto_a_file_refuses_what_comes_between_look_and_step",
    "test_a_move_onto_a_file_whose_process_died_goes_on": "the source goes in `finish`: test_s3_moves.py, "
    "test_a_move_whose_process_died_is_taken_once",
    "test_a_stranger_at_the_old_name_after_a_crash_stays_there": "our source lies there until `finish`, which leaves "
    "strangers' alone: test_s3_steps.py, test_a_source_that_changed_after_the_step_stays",
    "test_a_restore_whose_process_died_is_taken_once": "the trash is cleared in `finish`: test_s3_moves.py, same name",
    "test_flush_takes_moves_and_restores_too": "sources go in `finish`, after the flush: test_s3_moves.py",
    "test_an_open_file_stays_readable_after_replace_and_delete": "in full only up to 256 KiB: test_s3_reading.py",
}
"""What the suite asks of every executor and a bucket answers otherwise, and where that is tested."""


class OutsideBucket:
    def __init__(self, executor: S3Executor) -> None:
        self.store = executor.store
        self.client: Any = self.store.bucket.client
        self.spool: Path = self.store.spool.root

    def _key(self, path: bytes) -> str:
        return self.store.keys.prefix + path.decode()

    def put(self, path: bytes, content: bytes) -> None:
        self.client.put_object(Bucket=self.store.bucket.name, Key=self._key(path), Body=content)

    edit = put

    def make_folder(self, path: bytes) -> None:
        self.put(path + b"/", b"")

    def remove(self, path: bytes) -> None:
        name = path + b"/" if self.is_folder(path) else path
        self.client.delete_object(Bucket=self.store.bucket.name, Key=self._key(name))

    def read(self, path: bytes) -> bytes | None:
        try:
            answer = self.client.get_object(Bucket=self.store.bucket.name, Key=self._key(path))
        except self.client.exceptions.NoSuchKey:
            return None
        content: bytes = answer["Body"].read()
        return content

    def keys(self, path: bytes = b"") -> list[str]:
        prefix = self._key(path)
        page = self.client.list_objects_v2(Bucket=self.store.bucket.name, Prefix=prefix)
        return [one["Key"][len(prefix) :] for one in page.get("Contents", [])]

    def is_folder(self, path: bytes) -> bool:
        return bool(self.keys(path + b"/"))

    def put_stage(self, stage: CommandId, content: bytes) -> None:
        (self.spool / "stage" / stage).write_bytes(content)

    edit_stage = put_stage

    def drop_stage(self, stage: CommandId) -> None:
        (self.spool / "stage" / stage).unlink()

    def stages(self) -> dict[str, bytes | None]:
        waiting = self.spool / "stage"
        here = {one.name: one.read_bytes() if one.is_file() else None for one in waiting.glob("*")}
        return here | {
            name: self.read(b".filestore/stage/" + name.encode()) for name in self.keys(b".filestore/stage/")
        }

    def trash(self) -> dict[str, bytes | None]:
        names = self.keys(b".filestore/trash/")
        return {
            name.removesuffix("/"): None if name.endswith("/") else self.read(b".filestore/trash/" + name.encode())
            for name in names
        }

    def put_trash(self, name: str, content: bytes) -> None:
        self.put(b".filestore/trash/" + name.encode(), content)

    def drop_trash(self, name: str) -> None:
        prefix = self._key(b".filestore/trash/" + name.encode())
        for key in [prefix, *(prefix + below for below in self.keys(b".filestore/trash/" + name.encode()))]:
            self.client.delete_object(Bucket=self.store.bucket.name, Key=key)


def outside(mount: S3Mount) -> tuple[S3Executor, OutsideBucket]:
    executor = mount.open()
    return executor, OutsideBucket(executor)


def uploads_of(executor: S3Executor) -> list[tuple[str, str]]:
    """Key and id of every multipart upload of the mount that is neither completed nor aborted."""
    store = executor.store
    page = store.bucket.client.list_multipart_uploads(Bucket=store.bucket.name, Prefix=store.keys.prefix)
    assert not page.get("IsTruncated")
    return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
