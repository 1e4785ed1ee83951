"""Everything that is staged on a mount in a bucket: drafts and streams in the spool, copies made by the store itself."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Copied, Draft, Source, Stage
from activities.executors.contract.task import Task
from activities.executors.drafts import staged
from activities.executors.s3.bucket import COMMAND, FREE, SHA256, STAGED, FoundObject
from activities.executors.s3.errors import ConditionFailed, Missing
from activities.executors.s3.keys import Keys
from activities.executors.s3.mount import Store
from activities.executors.s3.spool import folder_identity
from activities.executors.s3.upload import PART_MIN, S3Writer
from schema.errors import ContentExpired, NotSupported, VersionConflict
from schema.ids import CommandId


def seal(store: Store, drafts: Sequence[Draft], written: Sequence[CommandId]) -> list[Stage | Exception]:
    """Stage all drafts, then flush them together, and all names. Raises only MountOffline."""

    def make_folder(stage: CommandId) -> Stage:
        store.spool.create_folder(stage)
        return Stage(stage, folder_identity())

    answers = staged(drafts, make_folder, lambda draft: S3Writer(store.bucket, store.spool, draft, None))
    if answers or written:
        store.spool.sync(parts=bool(written))
    return answers


def find(store: Store, stage: CommandId) -> Identity | None:
    """In the spool of this host, else as a copy in the bucket."""
    found = store.spool.find(stage)
    if found is not None:
        return found
    there = store.bucket.head(store.keys.stage(stage))
    return _copied_identity(there) if there else None


def _copied_identity(found: FoundObject) -> Identity:
    tag = found.metadata.get(STAGED) or f"object:{found.etag}"
    return Identity(0, 0, 0, found.size, 0, 0, False, tag=tag)


def discard(store: Store, stage: CommandId, staged: Identity | None) -> bool:
    found = find(store, stage)
    if staged is not None and found is not None and not staged.same_content(found):
        return False
    drop_local(store, stage)
    store.spool.unmark(stage)
    store.bucket.delete(store.keys.stage(stage))
    return True


def drop_local(store: Store, stage: CommandId) -> None:
    """What waits in the spool, and the parts in the bucket that belong to it."""
    upload = store.spool.upload(stage)
    if upload is not None:
        store.bucket.abort_parts(upload.key, upload.id)
        store.spool.forget_upload(stage)
    store.spool.drop(stage)


def copy(store: Store, stage: CommandId, sources: Iterable[Source]) -> Iterator[Copied]:
    """One file by the store itself, into the stage of the bucket; or one directory, which is only a name."""
    wanted = list(islice(sources, 2))
    if not wanted:
        return
    one = wanted[0]
    if len(wanted) > 1 or one.relative:
        raise NotSupported("An object store has no trees: copies go item by item.")
    drop_local(store, stage)
    store.spool.unmark(stage)
    if one.kind == "directory":
        discard(store, stage, None)
        store.spool.create_folder(stage)
        yield Copied(one.relative, one.kind, folder_identity())
        return
    if one.kind != "file":
        raise NotSupported(f"A {one.kind} can not be copied.")
    found = store.bucket.head(_key_of(store.keys, one))
    if found is None:
        store.sure()
        if one.place is not None:
            raise ContentExpired()
    if found is None or not is_source(found, one):
        raise VersionConflict("What was to be copied was changed in the bucket behind Filestore's back. Reconcile it.")
    known = one.sha256.hex() if one.sha256 else found.metadata.get(SHA256)
    metadata = {COMMAND: str(stage)} | ({SHA256: known} if known else {})
    try:
        made = _copied(store, found, store.keys.stage(stage), metadata)
    except (Missing, ConditionFailed) as error:
        raise VersionConflict("What was to be copied changed at that very moment. Try again.") from error
    yield Copied(one.relative, one.kind, _copied_identity(made), made.size, one.sha256)


def _copied(store: Store, source: FoundObject, key: str, metadata: dict[str, str]) -> FoundObject:
    """Remove first what an earlier, broken execution has left there. Only the condition looks for it: mostly there is
    none."""
    try:
        return store.bucket.copy(source, key, metadata, FREE)
    except ConditionFailed:
        if store.bucket.head(key) is None:
            raise
        store.bucket.delete(key)
        return store.bucket.copy(source, key, metadata, FREE)


def _key_of(keys: Keys, source: Source) -> str:
    return keys.of(source.path) if source.path is not None else keys.in_trash(source.place)


def is_source(found: FoundObject, source: Source) -> bool:
    stored = found.metadata.get(SHA256)
    if source.sha256 is not None and stored is not None and stored != source.sha256.hex():
        return False
    if source.place is not None:  # a copy in the trash: its ETag may be another one
        return found.size == source.identity.size
    return found.is_expected(source.identity)


def stages(store: Store) -> Iterator[tuple[CommandId, float]]:
    seen = set[str]()
    for stage, age in store.spool.entries():
        seen.add(stage)
        yield stage, age
    for key, age in _copies(store):
        if key not in seen:
            yield CommandId(key), age


def _copies(store: Store) -> Iterator[tuple[str, float]]:
    for one in store.bucket.every(store.keys.stages):
        yield one.key[len(store.keys.stages) :], one.age


def flush(store: Store, tasks: Sequence[Task]) -> None:
    """What the store has answered is durable, so the spool need not keep content that was published."""
    for task in tasks:
        if task.stage and store.spool.is_marked(task.command):
            store.spool.drop(task.stage)
            if may_have_parts(task.staged):
                store.spool.forget_upload(task.stage)


def may_have_parts(staged: Identity | None) -> bool:
    """A directory, and content that one request holds, never went up in parts: there is nothing to look for."""
    return staged is None or not (staged.directory or (staged.tag.startswith("spool:") and staged.size <= PART_MIN))


def clear(store: Store, task: Task, succeeded: bool) -> None:
    """After the record: nothing of the stage stays, but what another program put in its place."""
    assert task.stage
    found = store.spool.find(task.stage)
    parts = may_have_parts(task.staged)
    if succeeded and parts:
        store.spool.forget_upload(task.stage)
    if found is not None and task.staged is not None and not task.staged.same_content(found):
        store.spool.keep(task.stage)
    elif parts:
        drop_local(store, task.stage)
    elif found is not None:
        store.spool.drop(task.stage)
    # What waited in the spool left no object. (But for what was once taken back: the sweep knows those by their age.)
    if not succeeded or task.staged is None or task.staged.tag.startswith("object:"):
        store.bucket.delete(store.keys.stage(task.stage))


def sweep_uploads(store: Store) -> int:
    """Abort the multipart uploads of copies whose process has died. Their parts are stored and paid for, and shown by no
    listing. Those of stages go with their stages. An upload that no note of ours names is a stranger's, and stays."""
    swept = 0
    for upload in store.spool.abandoned():
        store.bucket.abort_parts(upload.key, upload.id)
        swept += 1
    return swept
