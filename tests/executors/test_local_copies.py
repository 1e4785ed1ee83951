"""What a disk keeps beside the bytes, and what it does to a copy: holes, links, pipes, rights, races, a full disk."""

import errno
import gc
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.stage import Copied, Source
from activities.executors.contract.task import Done, Unclear
from activities.executors.local import flushes as local_flushes
from schema.errors import Forbidden, Interrupted, InvalidRequest, NotSupported, VersionConflict
from schema.ids import CommandId, new_command_id
from tests.executors.conftest import MOUNT, Bench, When, refused

PROJECT = Path(__file__).parents[2]


def copied(disk: Bench, path: bytes = b"t", target: bytes = b"copy") -> None:
    disk.done(disk.copy(disk.sources(path), target))


def attributes_of(path: Path) -> tuple[int, int, int, int]:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_uid, found.st_gid


# -- what is kept beside the bytes -------------------------------------------------------------------------------------


def test_mode_times_and_owner_come_along(disk: Bench, root: Path) -> None:
    (root / "t" / "sub").mkdir(parents=True)
    (root / "t" / "sub" / "file").write_bytes(b"x")
    (root / "t" / "sub" / "file").chmod(0o640)
    (root / "t" / "sub").chmod(0o1750)
    if os.geteuid() == 0:
        os.chown(root / "t" / "sub" / "file", 12345, 54321)
    for n, name in enumerate(("t/sub/file", "t/sub", "t")):
        os.utime(root / name, ns=(1_000_000_007 + n, 1_500_000_000_123_456_789 + n))
    atime = (root / "t" / "sub" / "file").stat().st_atime_ns
    copied(disk)
    for name in ("", "sub", "sub/file"):
        assert attributes_of(root / "copy" / name) == attributes_of(root / "t" / name), name
    assert (root / "copy" / "sub" / "file").stat().st_atime_ns == atime


def test_bits_that_lend_rights_are_dropped(disk: Bench, root: Path) -> None:
    (root / "t").mkdir()
    (root / "t" / "file").write_bytes(b"x")
    (root / "t" / "file").chmod(0o6755)
    (root / "t").chmod(0o2755)
    copied(disk)
    assert (attributes_of(root / "copy")[0], attributes_of(root / "copy" / "file")[0]) == (0o755, 0o755)


def test_folders_nobody_may_write_to_are_copied_and_removed(disk: Bench, root: Path) -> None:
    (root / "t" / "sub").mkdir(parents=True)
    (root / "t" / "sub" / "file").write_bytes(b"x")
    for name, mode in (("t/sub/file", 0o400), ("t/sub", 0o555), ("t", 0o555)):
        (root / name).chmod(mode)
    task = disk.copy(disk.sources(b"t"), b"copy")
    stage = root / ".filestore" / "stage" / task.command
    modes = [stat.S_IMODE((stage / name).stat().st_mode) for name in ("", "sub", "sub/file")]
    assert modes == [0o755, 0o555, 0o400]  # a root that is not writable could not be renamed
    assert disk.executor.discard_stage(task.command, task.staged)
    assert not stage.exists()


def test_attributes_and_access_lists_come_along(disk: Bench, root: Path) -> None:
    (root / "t").mkdir()
    (root / "t" / "file").write_bytes(b"x")
    attributes = {"user.note": b"\x00\xff" * 50, "user.empty": b""}
    try:
        for name, value in attributes.items():
            os.setxattr(root / "t" / "file", name, value)
            os.setxattr(root / "t", name, value)
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    entries = ["01000600ffffffff", "0200040039300000", "04000000ffffffff", "10000400ffffffff", "20000000ffffffff"]
    access = bytes.fromhex("02000000" + "".join(entries))  # version 2: owner rw, user 12345 r, mask r
    try:
        os.setxattr(root / "t" / "file", "system.posix_acl_access", access)
        attributes["system.posix_acl_access"] = access
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP
    copied(disk)
    found = {name: os.getxattr(root / "copy" / "file", name) for name in os.listxattr(root / "copy" / "file")}
    assert found == attributes
    assert os.getxattr(root / "copy", "user.note") == attributes["user.note"]


def test_holes_stay_holes(disk: Bench, root: Path) -> None:
    size = 256 << 20
    with open(root / "t", "wb") as file:
        file.truncate(size)
        for at in (1 << 20, 200 << 20):
            file.seek(at)
            file.write(b"data")
    before = (root / "t").stat().st_blocks
    if before * 512 > 1 << 20:
        pytest.skip("this file system has no holes")
    task = disk.copy(disk.sources(b"t"), b"copy")
    disk.done(task)
    after = (root / "copy").stat()
    assert (after.st_size, after.st_blocks) == (size, before)
    subprocess.run(["cmp", root / "t", root / "copy"], check=True)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 7])
@pytest.mark.parametrize("end", [b"", b"\0" * 5000])
def test_any_size_is_copied_and_hashed(disk: Bench, root: Path, size: int, end: bytes) -> None:
    content = os.urandom(size) + end
    (root / "t").write_bytes(content)
    (copy,) = disk.executor.stage_copy(new_command_id(), disk.sources(b"t"))
    assert (copy.size, copy.sha256) == (len(content), hashlib.sha256(content).digest())
    assert (root / ".filestore" / "stage" / next(iter(disk.outside.stages()))).read_bytes() == content


def test_a_hole_at_the_end_is_hashed_as_what_it_reads_as(disk: Bench, root: Path) -> None:
    (root / "t").write_bytes(b"head")
    os.truncate(root / "t", (2 << 20) + 1)
    (copy,) = disk.executor.stage_copy(new_command_id(), disk.sources(b"t"))
    assert copy.sha256 == hashlib.sha256((root / "t").read_bytes()).digest()


@pytest.mark.parametrize("short", [False, True])
def test_where_blocks_can_be_shared_the_clone_is_hashed(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    content = os.urandom(300_000)

    def clone(source: int, target: int) -> bool:
        os.pwrite(target, content[:-1] if short else content, 0)
        return True

    monkeypatch.setattr(syscalls, "clone", clone)
    (root / "t").write_bytes(content)
    copying = disk.executor.stage_copy(new_command_id(), disk.sources(b"t"))
    if short:
        with pytest.raises(VersionConflict):
            next(copying)
    else:
        assert next(copying).sha256 == hashlib.sha256(content).digest()


# -- links, pipes and names --------------------------------------------------------------------------------------------


def test_a_link_is_copied_as_a_link_and_never_followed(disk: Bench, root: Path) -> None:
    (root.parent / "secret").write_bytes(b"SECRET")
    (root / "t").mkdir()
    targets = {"in": "file", "out": "../../secret", "away": "/etc/passwd", "folder": "..", "nowhere": "x" * 1000}
    for name, target in targets.items():
        (root / "t" / name).symlink_to(target)
        os.utime(root / "t" / name, ns=(5, 7), follow_symlinks=False)
    copied(disk)
    assert {name: os.readlink(root / "copy" / name) for name in targets} == targets
    assert all((root / "copy" / name).lstat().st_mtime_ns == 7 for name in targets)
    (link,) = disk.executor.stage_copy(stage := new_command_id(), disk.sources(b"t/in"))
    assert (link.kind, link.size, link.sha256) == ("symlink", 4, None)
    assert disk.executor.discard_stage(stage, link.identity)


@pytest.mark.parametrize("kind", ["file", "special"])
def test_a_pipe_is_refused_by_its_name_and_never_opened(disk: Bench, root: Path, kind: str) -> None:
    (root / "t").mkdir()
    os.mkfifo(root / "t" / "the pipe")
    sources = [replace(source, kind=kind) if source.relative else source for source in disk.sources(b"t")]
    with pytest.raises(NotSupported if kind == "special" else VersionConflict, match="the pipe"):
        list(disk.executor.stage_copy(new_command_id(), sources))
    assert disk.outside.stages() == {}


def test_hard_links_become_files_of_their_own(disk: Bench, root: Path) -> None:
    """Within the tree, and where the other name lies beside it."""
    (root / "t").mkdir()
    (root / "t" / "a").write_bytes(b"x")
    os.link(root / "t" / "a", root / "t" / "b")
    os.link(root / "t" / "a", root / "outside")
    copied(disk)
    copies = [(root / "copy" / name).stat() for name in "ab"]
    assert [found.st_nlink for found in copies] == [1, 1] and copies[0].st_ino != copies[1].st_ino
    assert [disk.outside.read(b"copy/" + name) for name in (b"a", b"b")] == [b"x", b"x"]
    assert (root / "t" / "a").stat().st_nlink == 3, "the source is as it was"
    disk.outside.edit(b"copy/a", b"a stranger's, in place")
    known = {entry.path.raw: entry.identity for entry in disk.executor.walk()}
    disk.done(disk.replace(b"copy/b", b"ours", known[b"copy/b"]))
    assert disk.outside.read(b"copy/a") == b"a stranger's, in place" and disk.outside.read(b"copy/b") == b"ours"
    assert [disk.outside.read(name) for name in (b"t/a", b"t/b", b"outside")] == [b"x"] * 3


def test_a_command_on_one_name_of_a_file_leaves_its_other_names(disk: Bench, root: Path) -> None:
    for name in ("replaced", "deleted", "moved", "copied"):
        (root / name).write_bytes(name.encode())
        os.link(root / name, root / f"{name}.twin")
    known = {entry.path.raw: entry.identity for entry in disk.executor.walk()}
    assert {identity.links for identity in known.values()} == {2}
    disk.done(disk.replace(b"replaced", b"new", known[b"replaced"]))
    disk.done(disk.delete(b"deleted", known[b"deleted"]))
    disk.done(disk.move(b"moved", b"there", known[b"moved"]))
    disk.done(disk.copy(disk.sources(b"copied"), b"copy"))
    twins = ("replaced", "deleted", "moved", "copied")
    assert [disk.outside.read(f"{name}.twin".encode()) for name in twins] == [name.encode() for name in twins]
    assert (disk.outside.read(b"replaced"), disk.outside.read(b"copy")) == (b"new", b"copied")


def test_a_tree_deeper_than_any_path_is_copied_and_removed(disk: Bench, root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"d" * 200, dir_fd=here)
        here, before = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.close(os.open(b"file", os.O_CREAT, dir_fd=here))
    os.close(here)
    sources = disk.sources(b"d" * 200)
    assert len(sources) == 31
    stage = new_command_id()
    answers = list(disk.executor.stage_copy(stage, sources))
    assert {one.relative for one in answers} == {one.relative for one in sources}
    assert disk.executor.discard_stage(stage, answers[-1].identity)
    assert disk.outside.stages() == {}
    subprocess.run(["rm", "-rf", root / ("d" * 200)], check=True)


def test_a_link_in_the_stage_is_not_followed_when_it_is_cleared(disk: Bench, root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"SECRET")
    stage = root / ".filestore" / "stage" / new_command_id()
    (stage / "sub").mkdir(parents=True)
    (stage / "sub" / "link").symlink_to(outside)
    assert disk.executor.discard_stage(CommandId(stage.name), None)
    assert not stage.exists() and (outside / "file").read_bytes() == b"SECRET"


# -- sources that change -----------------------------------------------------------------------------------------------


def test_a_write_that_hides_behind_the_old_times_is_seen(disk: Bench, root: Path) -> None:
    disk.has(b"t", b"old")
    sources = disk.sources(b"t")
    before = (root / "t").stat()
    disk.outside.edit(b"t", b"OLD")
    os.utime(root / "t", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(VersionConflict):
        list(disk.executor.stage_copy(new_command_id(), sources))


@pytest.mark.parametrize("change", ["same length", "shorter", "longer"])
def test_a_file_written_to_while_it_is_copied_is_not_a_copy(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    (root / "t").write_bytes(bytes(3 << 20))
    sources = disk.sources(b"t")
    real = os.pwrite

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        if at == 0:
            with open(root / "t", "r+b") as file:
                file.seek(2 << 20)
                file.write(b"x")
                if change == "shorter":
                    file.truncate(1 << 20)
                if change == "longer":
                    file.seek(5 << 20)
                    file.write(b"x")
        return real(descriptor, data, at)

    with monkeypatch.context() as editing:
        editing.setattr(os, "pwrite", pwrite)
        with pytest.raises(VersionConflict, match="while it was copied"):
            list(disk.executor.stage_copy(new_command_id(), sources))
    assert disk.outside.stages() == {}


def test_what_may_not_be_read_is_forbidden(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "t").write_bytes(b"x")

    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr("activities.executors.local.copy.open_file", fail)
    with pytest.raises(Forbidden, match="'t'"):
        list(disk.executor.stage_copy(new_command_id(), disk.sources(b"t")))


# -- many, and durable -------------------------------------------------------------------------------------------------


def test_everything_is_flushed_before_the_last_answer(
    disk: Bench, root: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_flushes, "little_waits", lambda: False)
    names = [f"sub/{n}" for n in range(local_flushes.BATCH_FILES + 3)]
    (root / "t" / "sub").mkdir(parents=True)
    for name in names:
        (root / "t" / name).write_bytes(b"x")
    sources, stage = disk.sources(b"t"), new_command_id()
    flushed.clear()
    answers: list[Copied] = []
    for answer in disk.executor.stage_copy(stage, sources):
        answers.append(answer)
        if len(answers) == len(sources):
            here = [path.removeprefix(f"stage/{stage}") for path in flushed]
            assert sorted(here[:-2]) == sorted("/" + name for name in names)
            assert here[-2:] == ["/sub", ""]
    assert answers[-1].relative == b"" and flushed[-1] == f"stage/{stage}"


def test_many_files_are_flushed_with_their_file_system_after_the_last_folder(
    disk: Bench, root: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "t" / "sub").mkdir(parents=True)
    for name in range(local_flushes.BATCH_FILES + 3):
        (root / "t" / "sub" / str(name)).write_bytes(b"x")
    (root / "t" / "sub").chmod(0o750)
    stage = new_command_id()
    made, seen = root / ".filestore" / "stage" / str(stage) / "sub", list[int]()
    monkeypatch.setattr(local_flushes, "little_waits", lambda: True)
    monkeypatch.setattr(syscalls, "syncfs", lambda _: seen.append(stat.S_IMODE(made.stat().st_mode)))
    sources = disk.sources(b"t")
    flushed.clear()
    assert len(list(disk.executor.stage_copy(stage, sources))) == len(sources)
    assert seen[-1] == 0o750 and len(seen) == 2 and flushed == []


def test_a_flush_of_the_file_system_that_failed_ends_the_copy_and_all_after_it(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "t").mkdir()
    for name in range(local_flushes.BATCH_FILES):
        (root / "t" / str(name)).touch()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(local_flushes, "little_waits", lambda: True)
    with monkeypatch.context() as broken:
        broken.setattr(syscalls, "syncfs", fail)
        with pytest.raises(OSError, match="input/output error"):
            list(disk.executor.stage_copy(new_command_id(), disk.sources(b"t")))
    with pytest.raises(OSError, match="an earlier flush failed"):
        list(disk.executor.stage_copy(new_command_id(), disk.sources(b"t")))


@pytest.mark.parametrize(
    ("facts", "release", "little"),
    [
        ("Dirty:   12 kB\nWriteback: 0 kB\n", "6.1.0-x", True),
        ("Dirty:   12 kB\nWriteback: 0 kB\n", "5.4.0", False),
        ("Dirty:   1 kB\nWriteback: 9000000 kB\nWritebackTmp: 1 kB\n", "6.1.0", False),
        ("", "6.1.0", False),
    ],
)
def test_the_whole_file_system_is_flushed_only_while_little_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: str, release: str, little: bool
) -> None:
    (tmp_path / "meminfo").write_text(facts)
    monkeypatch.setattr(local_flushes, "_FACTS", str(tmp_path / "meminfo"))
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", release, "", "")))
    assert local_flushes.little_waits() is little


def test_a_large_tree_keeps_few_descriptors_open(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for folder in range(100):
        (root / "t" / str(folder)).mkdir(parents=True)
        for name in range(100):
            (root / "t" / str(folder) / str(name)).touch()
    disk.executor.check()
    gc.collect()  # disks of tests before, with their descriptors
    before = most = len(os.listdir("/proc/self/fd"))
    stage, answers = new_command_id(), 0
    for _ in disk.executor.stage_copy(stage, iter(disk.sources(b"t"))):
        answers += 1
        if answers % 50 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert answers == 10_101 and most - before < local_flushes.BATCH_FILES + 10
    assert disk.executor.discard_stage(stage, disk.executor.find_stage(stage))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_copy_whose_flush_failed_is_gone(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "t").write_bytes(b"x")
    sources = disk.sources(b"t")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="lost"):
        list(disk.executor.stage_copy(new_command_id(), sources))
    assert disk.outside.stages() == {}


def test_a_tree_in_the_trash_that_strangers_wrote_to_is_left_alone(disk: Bench, root: Path) -> None:
    (root / "t").mkdir()
    (root / "t" / "file").write_bytes(b"x")
    task = disk.copy(disk.sources(b"t"), b"copy")
    disk.executor.act(task)
    os.link(root / "copy" / "file", root / "kept elsewhere")
    (root / "copy" / "file").rename(root / "copy" / "renamed")
    disk.executor.reverse(task)
    disk.executor.finish(task, False)
    (kept,) = (root / ".filestore" / "trash" / "kept").iterdir()
    assert (kept / "renamed").read_bytes() == b"x"


FULL = """
import os, sys
sys.path.insert(0, {project!r})
from activities.executors.contract.stage import Copied, Source
from activities.executors.contract.task import Done, Unclear
from activities.executors.local.executor import LocalExecutor
from schema.errors import StorageFull
from schema.ids import new_command_id
from schema.paths import NodePath

root = {root!r}
executor = LocalExecutor.register(root, {mount!r})
os.mkdir(root + "/t")
for n in range(6):
    open(f"{{root}}/t/{{n}}", "wb").write(os.urandom(100_000))
entries = [entry for entry in executor.walk()]
sources = [Source(entry.path.raw[2:], entry.kind, entry.identity, entry.path) for entry in entries]
free = os.statvfs(root).f_bfree
try:
    list(executor.stage_copy(new_command_id(), sources))
except StorageFull:
    pass
else:
    raise SystemExit("it was not full")
assert list(executor.stages()) == []
assert os.statvfs(root).f_bfree == free
assert len(list(executor.stage_copy(new_command_id(), sources[:3]))) == 3
"""


def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """On a tmpfs in a mount namespace of its own: it needs no privileges, and is gone with the process."""
    small = tmp_path / "small"
    small.mkdir()
    script = FULL.format(project=str(PROJECT), root=str(small), mount=MOUNT)
    namespace = [shutil.which("unshare") or "unshare", "-Urm"]
    try:
        subprocess.run([*namespace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no user namespaces here: {error}")
    mounting = f"mount -t tmpfs -o size=1m,nr_inodes=64 tmpfs '{small}' && exec {sys.executable} -c \"$STORY\""
    done = subprocess.run([*namespace, "sh", "-c", mounting], env={**os.environ, "STORY": script}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# -- moves, as only a disk has them ------------------------------------------------------------------------------------


def test_a_link_and_a_pipe_are_moved_as_what_they_are(disk: Bench, root: Path) -> None:
    (root / "link").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    for entry in list(disk.executor.walk()):
        disk.done(disk.move(entry.path.raw, entry.path.raw + b" moved", entry.identity))
    assert os.readlink(root / "link moved") == "nowhere"
    assert stat.S_ISFIFO((root / "pipe moved").lstat().st_mode)


def test_a_hard_link_a_stranger_made_at_the_target_is_not_our_move(disk: Bench, root: Path) -> None:
    disk.has(b"file", b"x")
    os.link(root / "file", root / "target")
    (known,) = [entry.identity for entry in disk.executor.walk() if entry.path.raw == b"file"]
    assert refused(disk.executor.act(disk.move(b"file", b"target", known))) == "NODE_EXISTS"
    assert (root / "file").exists()


def test_a_move_onto_a_twin_of_the_same_file_keeps_one_in_the_trash(disk: Bench, root: Path) -> None:
    (root / "a").write_bytes(b"x")
    os.link(root / "a", root / "b")
    known = {entry.path.raw: entry.identity for entry in disk.executor.walk()}
    task = disk.move(b"a", b"b", known[b"a"], replaced=known[b"b"])
    assert isinstance(disk.executor.act(task), Done)
    assert disk.outside.trash() == {task.trash: b"x"}
    assert (disk.outside.read(b"a"), disk.outside.read(b"b")) == (None, b"x")


def test_a_move_onto_a_file_whose_trash_is_full_is_taken_back(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, replaced = disk.has(b"new", b"moved"), disk.has(b"old", b"replaced")
    real = syscalls.renameat2

    def renameat2(source: int, name: bytes, target: int, new: bytes, flags: int) -> None:
        if flags == syscalls.RENAME_NOREPLACE:
            raise OSError(errno.ENOSPC, "no room for a name")
        real(source, name, target, new, flags)

    monkeypatch.setattr("activities.executors.local.steps.ends.renameat2", renameat2)
    assert refused(disk.executor.act(disk.move(b"new", b"old", known, replaced))) == "STORAGE_FULL"
    assert (disk.outside.read(b"new"), disk.outside.read(b"old")) == (b"moved", b"replaced")


def test_where_both_names_were_swapped_by_strangers_nothing_is_guessed(disk: Bench, when: When) -> None:
    known, replaced = disk.has(b"new", b"moved"), disk.has(b"old", b"replaced")

    def swap() -> None:
        disk.outside.put(b"new", b"one")
        disk.outside.put(b"old", b"other")

    when("apply.act", swap)
    assert isinstance(disk.executor.act(disk.move(b"new", b"old", known, replaced)), Unclear)
    assert {disk.outside.read(b"new"), disk.outside.read(b"old")} == {b"one", b"other"}
    assert disk.outside.trash() == {}


def test_places_that_lead_out_of_the_trash_are_refused(disk: Bench) -> None:
    known = disk.has(b"secret", b"x")
    for place in (b"../../secret", b"day/../../../secret", b"/etc/passwd", b"", b"./x"):
        with pytest.raises(InvalidRequest):
            disk.executor.open_kept(place)
        with pytest.raises(InvalidRequest):
            list(disk.executor.stage_copy(new_command_id(), [Source(b"", "file", known, place=place)]))
        with pytest.raises(InvalidRequest):
            disk.executor.act(disk.restore(place, b"back", known))


def interrupted_after(sources: list[Source], count: int) -> Iterator[Source]:
    yield from sources[:count]
    raise Interrupted()


def test_a_copy_that_is_interrupted_goes_on_with_what_it_had_made(disk: Bench, root: Path) -> None:
    (root / "t" / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c", "sub/d"):
        (root / "t" / name).write_text(name)
    os.symlink("a", root / "t" / "l")
    sources, stage, made = disk.sources(b"t"), new_command_id(), dict[bytes, Copied]()
    with pytest.raises(Interrupted):
        for answer in disk.executor.stage_copy(stage, interrupted_after(sources, 5)):
            made[answer.relative] = answer
    there = root / ".filestore" / "stage" / str(stage)
    assert {os.fsdecode(name) for name in made} == {
        one.relative.decode() for one in sources[1:5] if one.kind != "directory"
    }
    (there / "a").write_text("a stranger")
    again = [replace(one, staged=made[one.relative].identity) if one.relative in made else one for one in sources]
    answers = {one.relative: one.identity for one in disk.executor.stage_copy(stage, again, goes_on=True)}
    assert len(answers) == len(sources)
    kept = {name for name, one in made.items() if answers[name] == one.identity}
    assert kept == made.keys() - {b"a"} and len(kept) > 1
    for name in ("a", "b", "sub/c", "sub/d"):
        assert (there / name).read_text() == name
    assert os.readlink(there / "l") == "a"


def test_a_copy_that_goes_on_fails_where_a_source_has_changed_meanwhile(disk: Bench, root: Path) -> None:
    (root / "t").mkdir()
    for name in ("a", "b"):
        (root / "t" / name).write_text(name)
    sources, stage = disk.sources(b"t"), new_command_id()
    with pytest.raises(Interrupted):
        made = {}
        for answer in disk.executor.stage_copy(stage, interrupted_after(sources, 3)):
            made[answer.relative] = answer.identity
    (root / "t" / "a").write_text("another")
    again = [replace(one, staged=made.get(one.relative)) for one in sources]
    with pytest.raises(VersionConflict):
        list(disk.executor.stage_copy(stage, again, goes_on=True))
    assert os.listdir(root / ".filestore" / "stage") == [], "nothing is left"
