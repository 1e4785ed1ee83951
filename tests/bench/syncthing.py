"""Two Syncthing processes on two folders of this machine, with the shortest delay that it takes: what projects are measured beside.
It is no part of the project: `--syncthing` says where the program is, as a distribution has it."""

import os
import socket
import subprocess
import time
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DELAY_S = "1"
"""What version 1.19 takes at least, a whole number"""
_OFF = (
    "globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "startBrowser", "crashReportingEnabled",
)  # fmt: skip


@dataclass
class SyncthingNode:
    program: str
    home: Path
    folder: Path
    port: int
    id: str = ""

    def make(self) -> "SyncthingNode":
        self.folder.mkdir(parents=True)
        words = [self.program, "generate", f"--home={self.home}", "--no-default-folder", "--skip-port-probing"]
        subprocess.run(words, check=True, capture_output=True, env=quiet())
        shown = subprocess.run(
            [self.program, f"--home={self.home}", "--device-id"], check=True, capture_output=True, env=quiet()
        )
        self.id = shown.stdout.decode().strip()
        return self

    def meet(self, other: "SyncthingNode") -> None:
        """Its settings: the other one, the folder, and nothing of the world outside."""
        file = self.home / "config.xml"
        tree = Xml.parse(file)
        root = tree.getroot()
        for device in root.findall("device"):
            root.remove(device)
        for node in (self, other):
            device = Xml.SubElement(root, "device", id=node.id, name=node.folder.name)
            Xml.SubElement(device, "address").text = f"tcp://127.0.0.1:{node.port}"
        folder = Xml.SubElement(
            root, "folder", id="bench", path=str(self.folder), type="sendreceive", rescanIntervalS="3600",
            fsWatcherEnabled="true", fsWatcherDelayS=DELAY_S,
        )  # fmt: skip
        for node in (self, other):
            Xml.SubElement(folder, "device", id=node.id)
        gui, options = root.find("gui"), root.find("options")
        assert gui is not None and options is not None
        gui.set("enabled", "false")
        for name in _OFF:
            for one in options.findall(name):
                options.remove(one)
            Xml.SubElement(options, name).text = "false"
        for one in options.findall("listenAddress"):
            options.remove(one)
        Xml.SubElement(options, "listenAddress").text = f"tcp://127.0.0.1:{self.port}"
        Xml.SubElement(options, "urAccepted").text = "-1"
        tree.write(file)

    def start(self) -> "subprocess.Popen[bytes]":
        words = [self.program, "serve", f"--home={self.home}", "--no-browser", "--no-restart"]
        log = open(self.home / "log", "wb")  # noqa: SIM115  for as long as it runs
        return subprocess.Popen(words, stdout=log, stderr=log, env=quiet())


@contextmanager
def syncthing(program: str, top: Path) -> Iterator[tuple[Path, Path]]:
    """Two folders that it makes one."""
    a, b = (SyncthingNode(program, top / f"home-{name}", top / name, free_port()).make() for name in ("a", "b"))
    a.meet(b)
    b.meet(a)
    running = [a.start(), b.start()]
    try:
        (a.folder / "first").write_bytes(b"1")
        end = time.monotonic() + 120
        while not (b.folder / "first").exists():
            if time.monotonic() > end:
                raise SystemExit((a.home / "log").read_text()[-2000:])
            time.sleep(0.1)
        yield a.folder, b.folder
    finally:
        for process in running:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def quiet() -> dict[str, str]:
    return {**os.environ, "STNOUPGRADE": "1", "STNODEFAULTFOLDER": "1"}
