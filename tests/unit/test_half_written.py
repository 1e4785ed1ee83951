"""Files that come: taken over by the next run where their process was killed, and never a file of the user's."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filestore_sdk import half_written
from filestore_sdk.half_written import begin, is_half_written, sweep

MIB = 1024 * 1024
KILLED = """
import os, signal, sys
from filestore_sdk.half_written import begin
one, two = begin(sys.argv[1]), begin(sys.argv[1])
one.write([b"left"], 0), two.write([b"left too"], 0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def left(target: Path) -> list[str]:
    """The names of what a killed process leaves that fetched the same file twice."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED, str(target)], env=env, check=False)
    names = sorted(os.listdir(target.parent))
    assert len(names) == 2 and all(map(is_half_written, names))
    return names


def test_what_a_killed_run_left_is_taken_over_and_nothing_stays(tmp_path: Path) -> None:
    target = tmp_path / "f"
    names = left(target)
    half = begin(str(target))
    assert os.listdir(tmp_path) == names[:1], "the second one went, the first one is gone on with"
    assert half.spans(MIB) == [(0, 4)]
    half.empty()
    half.write([b"wh", b"ole"], 0)
    half.publish()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {"f": b"whole"}
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask(), "as every new file"


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def test_two_that_fetch_the_same_do_not_meet(tmp_path: Path) -> None:
    one, two = begin(str(tmp_path / "f")), begin(str(tmp_path / "f"))
    one.write([b"one"], 0)
    two.write([b"two"], 0)
    assert sweep(str(tmp_path), os.listdir(tmp_path), []) == [], "both live"
    one.publish()
    assert (tmp_path / "f").read_bytes() == b"one"
    two.publish()
    assert (tmp_path / "f").read_bytes() == b"two" and os.listdir(tmp_path) == ["f"]


def test_a_folder_is_swept_but_for_what_comes_again(tmp_path: Path) -> None:
    names = left(tmp_path / "f")
    assert sweep(str(tmp_path), names, ["f", "g"]) == []
    assert sweep(str(tmp_path), names, ["g"]) == names
    assert os.listdir(tmp_path) == []


def of_a_user(place: Path, kind: str) -> None:
    if kind == "link":
        place.symlink_to("kept")
    elif kind == "two names":
        os.link(place.parent / "kept", place)
    elif kind == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)


@pytest.mark.parametrize("kind", ["link", "two names", "directory", "pipe"])
def test_what_is_no_file_of_ours_is_passed_over(tmp_path: Path, kind: str) -> None:
    (tmp_path / "kept").write_bytes(b"mine")
    half = begin(str(tmp_path / "f"))
    [name] = [name for name in os.listdir(tmp_path) if is_half_written(name)]
    half.discard()
    of_a_user(tmp_path / name, kind)
    assert sweep(str(tmp_path), [name], []) == []
    half = begin(str(tmp_path / "f"))
    half.write([b"whole"], 0)
    half.publish()
    assert sorted(os.listdir(tmp_path)) == sorted([name, "f", "kept"])
    assert (tmp_path / "kept").read_bytes() == b"mine" and (tmp_path / "f").read_bytes() == b"whole"


@pytest.mark.parametrize("name", [".filestore-notes", ".filestore-0123abcd", ".filestore-" + "a" * 32, "x.0.part"])
def test_other_names_that_begin_alike_are_the_users(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    assert not is_half_written(name) and sweep(str(tmp_path), [name], []) == []
    assert (tmp_path / name).read_bytes() == b"mine"


def test_without_locks_each_has_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    one, two = begin(str(tmp_path / "f")), begin(str(tmp_path / "f"))
    names = os.listdir(tmp_path)
    assert len(names) == 2 and all(map(is_half_written, names))
    assert sweep(str(tmp_path), names, []) == [], "it is not known whether their processes live"
    one.discard()
    two.write([b"two"], 0)
    two.publish()
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_bytes() == b"two"


def test_holes_are_what_has_to_come(tmp_path: Path) -> None:
    half = begin(str(tmp_path / "f"))
    half.write([b"a" * MIB], 0)
    half.write([b"b" * MIB], 8 * MIB)
    half.keep()
    half = begin(str(tmp_path / "f"))
    spans = half.spans(8 * MIB + 10)
    assert spans[0][0] == 0 and MIB <= spans[0][1] <= 8 * MIB and spans[-1][1] == 8 * MIB + 10, "cut to its size"
    half.discard()
    assert os.listdir(tmp_path) == []


def test_a_name_is_as_long_for_every_target(tmp_path: Path) -> None:
    half = begin(str(tmp_path / ("n" * 255)))
    assert [len(name) for name in os.listdir(tmp_path)] == [len(".filestore-") + 32 + len(".0.part")]
    half.write([b"1"], 0)
    half.publish()
    assert os.listdir(tmp_path) == ["n" * 255]
    assert hashlib.sha256(b"n" * 255).hexdigest()[:32] == half_written._key("n" * 255)
