"""The `filestore` command as people and programs run it: in pipes, in a terminal, with any name."""

import base64
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest
from filestore_sdk.cli import exits
from filestore_sdk.cli.rows import SCHEMAS

from tests.clients.sdk.command import COMMAND, Shell
from tests.fix_service import MountOfTest, Service


def test_every_verb_that_lists_has_json_of_its_schema(shell: Shell, mount: MountOfTest) -> None:
    at = mount.key
    (shell.folder / "f").write_bytes(b"one")
    shell.text("mkdir", "-p", f"{at}:a/b")
    assert shell.text("put", "f", f"{at}:a/") == "a/f\n"
    assert shell.text("ls", f"{at}:a") == "b/\nf\n"
    assert shell.text("cat", f"{at}:a/f", "--offset", "1", "--count", "1") == "n"
    assert [row["path"] for row in shell.rows("node", "ls", f"{at}:a")] == ["a/b", "a/f"]
    assert [row["path"] for row in shell.rows("node", "ls", "-R", f"{at}:")] == ["a", "a/b", "a/f"]
    assert [row["path"] for row in shell.rows("node", "find", f"{at}:", "F", "--kind", "file")] == ["a/f"]
    assert [row["kind"] for row in shell.rows("node", "tree", f"{at}:")] == ["directory", "directory", "file"]
    assert shell.rows("node", "stat", f"{at}:a/f")[0]["sizeBytes"] == 3
    assert shell.rows("usage", "du", f"{at}:a")[-1] == {"path": "a", "sizeBytes": 3, "files": 1, "directories": 1}
    assert shell.rows("outcome", "describe", f"{at}:a/f", "--set", "k=1")[0]["version"] == 2
    assert shell.rows("outcome", "cp", "-r", f"{at}:a/f", f"{at}:a/b")[0]["path"] == "a/b/f"
    assert shell.rows("outcome", "mv", f"{at}:a/b/f", f"{at}:a/g")[0]["path"] == "a/g"
    assert [row["version"] for row in shell.rows("version", "versions", f"{at}:a/f")] == [2, 1]
    assert shell.rows("entry", "history", f"{at}:a/g")[0]["command"] == "moveNode"
    assert shell.rows("mount", "mounts")
    assert {row["type"] for row in shell.rows("event", "events", f"{at}:", "--type", "filestore.node.moved")} == {
        "filestore.node.moved"
    }
    tag = ("tag", f"{at}:a", "--add", "red", "--owner", "ann", "--set", "k=1")
    assert {row["path"] for row in shell.rows("item", *tag, "--dry-run")} == {"a", "a/b", "a/f", "a/g"}
    assert shell.rows("operation", *tag)[0]["progress"]["itemsDone"] == 4
    assert shell.rows("operation", "tag", f"{at}:a", "--remove", "red", "--tagged", "red")[0]["state"] == "succeeded"
    assert [row["path"] for row in shell.rows("item", "rm", "-r", f"{at}:a", "--dry-run")] == ["a"]
    assert shell.rows("check", "doctor")[0]["ok"] is True
    shell.text("rm", "-r", f"{at}:a", "--yes")
    assert shell.text("ls", f"{at}:") == ""
    shell.text("restore", f"{at}:a")
    operation = shell.rows("operation", "ops", "list")[0]["id"]
    assert shell.rows("operation", "ops", "show", operation)[0]["state"] == "cancelled", "what was only shown"


def test_what_came_behind_its_back_is_looked_at_and_sessions_are_undone(shell: Shell, mount: MountOfTest) -> None:
    (mount.root / "stranger").write_bytes(b"1")
    shell.text("fsck", f"{mount.key}:")
    schedules = json.loads(shell.text("drift", "schedules", f"{mount.key}:", "--json"))
    assert {one["kind"] for one in schedules} >= {"sweep", "proof", "purge"}
    assert shell.text("ls", f"{mount.key}:") == "stranger\n"
    shell.env["FILESTORE_CORRELATION_ID"] = mount.key
    shell.text("mkdir", f"{mount.key}:d")
    shell.text("mv", f"{mount.key}:stranger", f"{mount.key}:d")
    plan = shell.rows("item", "undo", "--session", mount.key, "--dry-run")
    assert len(plan) == 2 and mount.on_disk() == {"d": None, "d/stranger": b"1"}
    assert shell.rows("operation", "undo", "--session", mount.key)[0]["state"] == "succeeded"
    assert mount.on_disk() == {"stranger": b"1"}


def test_several_places_are_one_document_and_keys_are_for_one(shell: Shell, mount: MountOfTest) -> None:
    both = [f"{mount.key}:{name}" for name in ("a", "b")]
    assert [row["path"] for row in json.loads(shell.text("mkdir", *both, "--json"))] == ["a", "b"]
    assert {row["path"] for row in shell.rows("item", "rm", "-r", *both, "--dry-run")} == {"a", "b"}
    shell.text("rm", *both, "--key", "k", code=exits.USAGE)
    broken = shell.run("rm", both[0], f"{mount.key}:none", both[1], "--json")
    assert [row["path"] for row in json.loads(broken.stdout)] == ["a"] and broken.returncode == exits.NOT_FOUND
    assert mount.on_disk() == {"b": None}


def test_links_are_made_listed_and_ended(shell: Shell, service: Service, mount: MountOfTest) -> None:
    service.upload(mount, "f", b"shared")
    made = json.loads(shell.text("links", "create", f"{mount.key}:f", "--uses", "2", "--expires", "600", "--json"))
    assert (made["maxUses"], made["kind"]) == (2, "read")
    assert httpx2.get(made["url"]).content == b"shared"
    id = str(made["id"])
    assert [row["path"] for row in json.loads(shell.text("links", "list", "--json")) if str(row["id"]) == id] == ["f"]
    shell.text("links", "revoke", id, "--yes")
    assert httpx2.get(made["url"]).status_code == 404


def offered(shell: Shell, *words: str) -> list[str]:
    """What a shell shows for the last of these words."""
    asked = {"_FILESTORE_COMPLETE": "complete_bash", "COMP_WORDS": shlex.join(words), "COMP_CWORD": str(len(words) - 1)}
    return replace(shell, env={**shell.env, **asked}).text().split()


def test_a_shell_completes_places(shell: Shell, service: Service, mount: MountOfTest) -> None:
    service.mkdir(mount, "d")
    for name in ("d/inner", "d/other", "data.csv"):
        service.upload(mount, name, b"x")
    assert offered(shell, "filestore", "ls", mount.key[:-2])[0].startswith(mount.key[:-2])
    assert offered(shell, "filestore", "ls", f"{mount.key}:d") == [f"{mount.key}:d/", f"{mount.key}:data.csv"]
    assert offered(shell, "filestore", "cat", f"{mount.key}:d/in") == [f"{mount.key}:d/inner"]
    (shell.folder / "here.txt").write_text("x")
    assert offered(shell, "filestore", "put", "her") == ["here.txt"]
    shell.env["FILESTORE_URL"] = "http://127.0.0.1:9"
    assert offered(shell, "filestore", "ls", f"{mount.key}:d") == [], "no server is no error"


def test_the_end_has_a_number_for_each_kind(shell: Shell, mount: MountOfTest) -> None:
    at = mount.key
    for code, arguments in (
        (exits.NOT_FOUND, ("cat", f"{at}:none")),
        (exits.NOT_FOUND, ("ls", "nomount:")),
        (exits.USAGE, ("ls",)),
        (exits.USAGE, ("ls", "no-address")),
        (exits.USAGE, ("put", "-n")),
        (exits.FAILED, ("put", "no-such-file", f"{at}:x")),
        (exits.NOT_ALLOWED, ("ls", f"{at}:", "--token", "fst_wrong")),
        (exits.AGAIN, ("ls", f"{at}:", "--url", "http://127.0.0.1:9")),
    ):
        done = shell.run(*arguments)
        assert done.returncode == code, (arguments, done)
        assert b"Traceback" not in done.stderr and done.stderr.count(b"\n") <= 3 and done.stdout == b""
    shell.text("mkdir", f"{at}:d")
    assert b"next:" in shell.run("mkdir", f"{at}:d").stderr
    assert shell.run("mkdir", f"{at}:d").returncode == exits.CONFLICT


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", [b"\xff", b"new\nline", b"'q\"", b"-dash", b"\x1b[31mred", b"n" * 255])
def test_any_name_passes_through_every_verb(shell: Shell, mount: MountOfTest, name: bytes) -> None:
    place = mount.key.encode() + b":d/" + name
    shell.text("mkdir", f"{mount.key}:d")
    shell.text("put", "-", place, given=b"odd")
    assert shell.run("ls", "-0", f"{mount.key}:d").stdout == name + b"\0"
    assert b"\x1b" not in shell.run("ls", f"{mount.key}:d").stdout
    [row] = json.loads(shell.text("ls", f"{mount.key}:d", "--json"))
    assert ("pathB64" in row) == (name == b"\xff")
    assert shell.text("cat", place) == "odd"
    shell.text("get", "-r", f"{mount.key}:d", "back")
    assert os.listdir(os.fsencode(shell.folder / "back")) == [name]
    shell.text("mv", place, place[:-1] + b"2")
    shell.text("rm", place[:-1] + b"2")


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"\xff", b"new\nline", b"'q\"", b"-dash", b"\x1b[31mred", b"n" * 255])
def test_any_name_passes_through_the_other_verbs(shell: Shell, mount: MountOfTest, name: bytes) -> None:
    above = mount.key.encode() + b":d"
    place, other = above + b"/" + name, above + b"/o"

    def paths_of(*words: str | bytes) -> set[bytes]:
        """Exact, whatever is in a name."""
        found = json.loads(shell.text(*words, "--json"))
        rows = found if isinstance(found, list) else [found]
        told = [(row.get("pathB64"), row.get("path")) for row in rows]
        return {base64.b64decode(exact) if exact else os.fsencode(text or "") for exact, text in told}

    shell.text("mkdir", "-p", above)
    shell.text("put", "-", place, given=b"odd")
    its = b"d/" + name
    for words in (
        ("stat", place), ("find", above, "--kind", "file"), ("history", place), ("du", place),
        ("describe", place, "--set", "k=1"), ("rm", place, "--dry-run"), ("tag", place, "--add", "t", "--dry-run"),
        ("links", "create", place), ("restore", place, "--version", "1"),
    ):  # fmt: skip
        assert its in paths_of(*words), words
    assert its in paths_of("ls", "-R", above) and its in paths_of("tree", above)
    assert len(json.loads(shell.text("versions", place, "--json"))) == 2
    assert paths_of("cp", place, other) == {b"d/o"}
    shell.text("rm", place)
    shell.text("restore", place)
    shell.text("fsck", above)
    shell.text("get", "-r", above + b"/", "back")
    assert sorted(os.listdir(os.fsencode(shell.folder / "back"))) == sorted([name, b"o"])
    assert b"\x1b" not in shell.run("sync", above, "back").stdout
    (shell.folder / "back/o").unlink()
    assert paths_of("sync", "back", above, "--delete") >= {b"o"}
    assert shell.text("cat", place) == "odd" and mount.on_disk().keys() == {"d", os.fsdecode(its)}


def folder_of(root: Path, count: int) -> None:
    for number in range(count):
        place = root / f"d{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}").write_bytes(b"%d" % number)


def test_a_folder_goes_up_changed_and_up_again_and_comes_down_equal(shell: Shell, mount: MountOfTest) -> None:
    tree = shell.folder / "tree"
    folder_of(tree, 30)
    (tree / "link").symlink_to("d0")
    first = json.loads(shell.text("put", "-r", "tree", f"{mount.key}:up/", "--json"))
    assert sorted({(row["action"], row["reason"]) for row in first}) == [
        ("mkdir", "new"), ("send", "new"), ("skip", "a symbolic link: only files and directories travel"),
    ]  # fmt: skip
    for row in first:
        jsonschema.validate(row, SCHEMAS["transferred"])
    (tree / "d0/0").write_bytes(b"X")
    (tree / "d1/1").unlink()
    again = json.loads(shell.text("put", "-r", "tree/", f"{mount.key}:up/tree", "--json"))
    assert [row["path"] for row in again if row["action"] == "send"] == ["d0/0"], "only what has changed travels"
    plan = json.loads(shell.text("sync", "tree", f"{mount.key}:up/tree", "--delete", "--dry-run", "--json"))
    assert [(row["action"], row["path"]) for row in plan if row["action"] != "skip"] == [("delete", "d1/1")]
    stopped = shell.run("sync", "tree", f"{mount.key}:up/tree", "--delete", "--max-delete", "0")
    assert stopped.returncode == exits.PARTIAL and b"--max-delete" in stopped.stderr
    told = json.loads(shell.text("sync", "tree", f"{mount.key}:up/tree", "--delete", "--json"))
    assert [row["path"] for row in told if row["action"] == "delete"] == ["d1/1"], "one document"
    shell.text("sync", f"{mount.key}:up/tree", "down")
    (tree / "link").unlink()
    assert subprocess.run(["diff", "-r", tree, shell.folder / "down"], check=False).returncode == 0


def ended_after(shell: Shell, lines: int, how: signal.Signals, *words: str) -> tuple[int, bytes]:
    """Its code, and what it says of that."""
    running = subprocess.Popen(
        ["env", "--default-signal=INT", *COMMAND, *words], cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    for _ in range(lines):
        assert running.stdout.readline()
    running.send_signal(how)
    _, said = running.communicate()
    return running.returncode, said


def test_one_that_is_killed_goes_on_where_it_was(shell: Shell, mount: MountOfTest) -> None:
    tree = shell.folder / "tree"
    folder_of(tree, 120)
    (tree / "large").write_bytes(os.urandom(20 * 1024 * 1024))
    words = ("put", "-r", "tree", f"{mount.key}:")
    code, said = ended_after(shell, 5, signal.SIGINT, *words)
    assert code == exits.CANCELLED and f"filestore {' '.join(words)}".encode() in said, "the command that goes on"
    assert ended_after(shell, 5, signal.SIGKILL, *words)[0] == -signal.SIGKILL
    shell.text("put", "-r", "tree", f"{mount.key}:")
    (shell.folder / "back/d0").mkdir(parents=True)
    halves = [shell.folder / "back" / name for name in ("d0/.filestore-" + "0" * 32 + ".0.part", ".filestore-mine")]
    for half in halves:
        half.write_bytes(b"left by a run that was killed")
    shell.text("get", "-r", f"{mount.key}:tree/", "back")
    assert [half.exists() for half in halves] == [False, True], "what no process writes goes, the user's own stays"
    halves[1].unlink()
    assert subprocess.run(["diff", "-r", tree, shell.folder / "back"], check=False).returncode == 0


def test_profiles_are_kept_for_their_owner_alone(shell: Shell, service: Service, mount: MountOfTest) -> None:
    bare = Shell({name: value for name, value in shell.env.items() if not name.startswith("FILESTORE_")}, shell.folder)
    assert b"config set" in bare.run("mounts").stderr
    bare.text("config", "set", "url", service.url)
    bare.text("config", "set", "token", "-", given=service.token.encode())
    file = Path(bare.text("config", "path").strip())
    assert file.stat().st_mode & 0o777 == 0o600
    assert mount.key in bare.text("mounts")
    file.chmod(0o644)
    assert bare.run("mounts").returncode == exits.USAGE


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    for handle in (ours, theirs):
        os.close(handle)


def test_on_a_terminal_it_asks_and_shows_a_bar(shell: Shell, mount: MountOfTest, terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    shell.text("put", "-", f"{mount.key}:d/f", "-p", given=b"1")
    asked = subprocess.Popen(
        [*COMMAND, "rm", "-r", f"{mount.key}:d"], env=shell.env | {"TERM": "xterm"}, cwd=shell.folder,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    seen, end = b"", time.monotonic() + 60
    while b"[y/N]" not in seen and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 1000)
    assert b"1 files" in seen
    os.write(ours, b"n\n")
    assert asked.wait(60) == exits.CANCELLED
    assert mount.on_disk() == {"d": None, "d/f": b"1"}
    (shell.folder / "large").write_bytes(os.urandom(9 * 1024 * 1024))
    shown = on_terminal(shell, terminal, "put", "large", f"{mount.key}:")
    assert b"MB" in shown and "━".encode() in shown
    folder_of(shell.folder / "tree", 30)
    shown = on_terminal(shell, terminal, "put", "-r", "tree", f"{mount.key}:")
    assert b"30/30 files" in shown and b"bytes/s" in shown and b"0:00:0" in shown, "files, bytes, rate, time left"


def on_terminal(shell: Shell, terminal: tuple[int, int], *words: str) -> bytes:
    """What a person sees while it works."""
    ours, theirs = terminal
    sent = subprocess.Popen(
        [*COMMAND, *words], env=shell.env | {"TERM": "xterm", "COLUMNS": "160"}, cwd=shell.folder, stderr=theirs,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shown = b""
    while sent.poll() is None or select.select([ours], [], [], 0.1)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 10_000)
    assert sent.returncode == 0
    return shown
