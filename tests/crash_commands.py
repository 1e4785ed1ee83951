"""The commands of the crash sweep: what each needs beforehand, how it is sent, which points it passes, and what it leaves."""

import os
from dataclasses import dataclass

import httpx2

from tests.fix_service import MountOfTest, Service, until

BEGUN = {"api.sealed", "api.started", "begin.before_commit", "begin.committed"}
STAGED = {"stage.staged", "stage.recorded"}
ACTED = {"apply.act", "apply.acted"}
RECORDED = {"apply.locked", "apply.flushed", "commit.before_commit", "commit.committed"}
CLEARED = {"finish.acted", "finish.closed"}
PUBLISHED = {"publish.positioned", "publish.sent"}

FIRST = ("mkdir", "create", "overwrite", "large", "delete_file", "delete_directory")
TREES = ("move", "move_onto", "move_directory", "move_to_mount", "copy", "copy_directory", "delete_tree", "restore",
         "restore_version", "describe")  # fmt: skip
COMMANDS = FIRST + TREES

LONG = {"copy_directory", "move_to_mount"}
"""The API only begins them; a worker goes on."""

LARGE = os.urandom(1 << 20)
TREE: dict[str, bytes | None] = {"": None, "/f": b"one", "/sub": None, "/sub/g": b"two"}


def way(command: str) -> set[str]:
    """Every point that this command passes, in whatever process."""
    points = BEGUN | RECORDED | PUBLISHED
    if command != "describe":
        points |= ACTED
    if command in ("copy", "copy_directory", "restore_version", "move_to_mount"):
        points |= STAGED
    if command in ("overwrite", "restore_version", "move_to_mount"):
        points |= CLEARED
    return points


@dataclass
class Doing:
    """One command in one crash: in a folder of this crash alone, on a mount (or two) of this command alone."""

    service: Service
    command: str
    mount: MountOfTest
    other: MountOfTest
    """Another mount where the command needs two, else the same."""
    folder: str
    node: int = 0
    first: httpx2.Response | None = None
    """What the client was told before or in spite of the crash."""

    @property
    def key(self) -> str:
        return f"{self.folder}-{self.command}"

    @property
    def mounts(self) -> list[MountOfTest]:
        return [self.mount] if self.mount is self.other else [self.mount, self.other]

    def prepare(self) -> None:
        service, mount, folder = self.service, self.mount, self.folder
        for where in self.mounts:
            _made(service.mkdir(where, folder))
        match self.command:
            case "overwrite" | "delete_file" | "move" | "copy" | "describe" | "move_to_mount":
                self.node = _made(service.upload(mount, f"{folder}/old", b"old content"))
            case "move_onto":
                _made(service.upload(mount, f"{folder}/old", b"old content"))
                _made(service.upload(mount, f"{folder}/other", b"in its way"))
            case "delete_directory":
                _made(service.mkdir(mount, f"{folder}/empty"))
            case "restore_version":
                old = f"first of {folder}".encode()
                self.node = _made(service.upload(mount, f"{folder}/old", old))
                _made(service.upload(mount, f"{folder}/old", b"old content", overwrite="true"))
                trash = mount.root / ".filestore" / "trash"
                assert until(lambda: any(kept.read_bytes() == old for kept in trash.rglob("*.0")), 30)
            case "move_directory" | "copy_directory" | "delete_tree" | "restore":
                for path, content in TREE.items():
                    at = f"{folder}/tree{path}"
                    _made(service.mkdir(mount, at) if content is None else service.upload(mount, at, content))
                if self.command == "restore":
                    _made(service.delete(mount, f"{folder}/tree", recursive=True))

    def send(self) -> httpx2.Response:
        service, mount, folder, key = self.service, self.mount, self.folder, self.key
        match self.command:
            case "mkdir":
                return service.mkdir(mount, f"{folder}/new", key)
            case "create":
                return service.upload(mount, f"{folder}/new", b"fresh", key)
            case "large":
                return service.upload(mount, f"{folder}/new", LARGE, key)
            case "overwrite":
                return service.upload(mount, f"{folder}/old", b"new content!", key, overwrite="true")
            case "delete_file":
                return service.delete(mount, f"{folder}/old", key)
            case "delete_directory":
                return service.delete(mount, f"{folder}/empty", key)
            case "delete_tree":
                return service.delete(mount, f"{folder}/tree", key, recursive=True)
            case "move":
                return service.move(mount, f"{folder}/old", f"{folder}/new", key)
            case "move_onto":
                return service.move(mount, f"{folder}/old", f"{folder}/other", key, overwrite=True)
            case "move_directory":
                return service.move(mount, f"{folder}/tree", f"{folder}/new", key)
            case "move_to_mount":
                return service.move(mount, f"{folder}/old", f"{folder}/new", key, targetBackendMountId=self.other.id)
            case "copy":
                return service.copy(mount, f"{folder}/old", f"{folder}/new", key)
            case "copy_directory":
                return service.copy(mount, f"{folder}/tree", f"{folder}/new", key)
            case "restore":
                return service.restore(mount, key, path=f"{folder}/tree")
            case "restore_version":
                return service.restore(mount, key, nodeId=self.node, version=1)
            case "describe":
                return service.describe(mount, self.node, key, set={"after": folder})
        raise AssertionError(self.command)

    def expected(self) -> list[dict[str, bytes | None]]:
        """What lies in the folder of this crash afterwards, mount by mount."""
        old: dict[str, bytes | None] = {"old": b"old content"}
        match self.command:
            case "mkdir":
                return [{"new": None}]
            case "create":
                return [{"new": b"fresh"}]
            case "large":
                return [{"new": LARGE}]
            case "overwrite":
                return [{"old": b"new content!"}]
            case "restore_version":
                return [{"old": f"first of {self.folder}".encode()}]
            case "move":
                return [{"new": b"old content"}]
            case "move_onto":
                return [{"other": b"old content"}]
            case "move_to_mount":
                return [{}, {"new": b"old content"}]
            case "copy":
                return [old | {"new": b"old content"}]
            case "describe":
                return [old]
            case "move_directory":
                return [_tree("new")]
            case "copy_directory":
                return [_tree("tree") | _tree("new")]
            case "restore":
                return [_tree("tree")]
        return [{}]

    def found(self) -> list[dict[str, bytes | None]]:
        return [mount.on_disk(self.folder) for mount in self.mounts]

    def verify(self, answer: httpx2.Response) -> None:
        """Done once: this answer, the disk, the journal, whatever was told before, and the next answer are of one mind."""
        # The source of a move to another mount goes after the answer.
        assert until(lambda: self.found() == self.expected(), 30), f"on disk: {self.found()}"
        journal = self.service.journal(self.mounts[-1], limit=50)
        ended = [entry for entry in journal if entry["key"] == self.key and entry["outcome"] == "succeeded"]
        assert len(ended) == 1, f"in the journal: {ended}"
        again = self.send()
        assert again.status_code == 200 and again.json()["data"]["idempotent"] is True, again.text
        for response in (self.first, answer, again):
            if response is not None and response.status_code != 503:
                assert response.status_code in (200, 201), response.text
                assert response.json()["data"]["journalEntryId"] == ended[0]["id"], response.text
        if self.command == "describe":
            node = self.service.at(self.mount, f"{self.folder}/old").json()["data"]
            assert node["metadata"] == {"after": self.folder}, node


def _tree(name: str) -> dict[str, bytes | None]:
    return {name + path: content for path, content in TREE.items()}


def _made(answer: httpx2.Response) -> int:
    """The id of the node."""
    assert answer.status_code in (200, 201), answer.text
    return int(answer.json()["data"]["node"]["id"])
