"""`.fsignore`: what stays on its server, as `git check-ignore` decides it."""

import subprocess
from pathlib import Path

import pytest

from schema.sync.ignore import Ignore

LINES = b"""# built
*.pyc
/build/
!keep.pyc
logs/*.log
**/cache/**
doc/**/draft
tmp?
[a-c].bin
[!x]y
\\#odd
sub/
"""
FILES = [
    "a.pyc", "d/a.pyc", "keep.pyc", "build/x", "d/build/x", "logs/a.log", "d/logs/a.log", "logs/d/a.log", "cache/x", "d/cache/x/y",
    "doc/draft", "doc/a/b/draft", "tmp1", "tmp", "tmp12", "a.bin", "d.bin", "ay", "xy", "#odd", "d/sub/f", "sub", "built",
]  # fmt: skip


def test_lines_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(LINES)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    asked = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
        input="\n".join(FILES), capture_output=True, text=True, check=False,
    )  # fmt: skip
    ignore = Ignore(LINES)
    assert [file for file in FILES if ignore.leaves_out(file.encode(), directory=False)] == asked.stdout.split("\n")[
        :-1
    ]


@pytest.mark.parametrize(
    ("path", "directory", "left_out"),
    [
        (b".filestore", True, True), (b".filestore/x", False, True), (b"d/.filestore", True, False),
        (b".fsignore", False, False), (b"sub", True, True), (b"\xff.pyc", False, True), (b"new\nline.pyc", False, True),
    ],
)  # fmt: skip
def test_our_own_folder_is_left_out_and_the_lines_themselves_are_not(
    path: bytes, directory: bool, left_out: bool
) -> None:
    assert Ignore(LINES + b".fsignore\n").leaves_out(path, directory=directory) is left_out


def test_a_line_that_is_no_pattern_leaves_nothing_out() -> None:
    assert not Ignore(b"[z-a]\n!\n/\n   \n").leaves_out(b"z", directory=False)
