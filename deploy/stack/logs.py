"""Show the logs of a stack, and what comes."""

import time
from pathlib import Path

from deploy.stack.folder import Folder
from deploy.stack.process import last_lines

LINES = 50
LOOK_EVERY_S = 0.2


def log_names(folder: Folder) -> list[str]:
    return sorted(log.stem for log in folder.logs.glob("*.log"))


def show_logs(folder: Folder, names: list[str], *, follow: bool) -> None:
    width = max((len(name) for name in names), default=0) if len(names) > 1 else 0
    ends = {name: _size(folder.log(name)) for name in names}
    for name in names:
        for line in last_lines(folder.log(name), LINES if width == 0 else LINES // 4):
            _show(name, line, width)
    while follow:
        time.sleep(LOOK_EVERY_S)
        for name in names:
            ends[name] = _show_new(folder.log(name), name, ends[name], width)


def _show_new(log: Path, name: str, end: int, width: int) -> int:
    size = _size(log)
    if size < end:  # begun anew
        end = 0
    if size == end:
        return end
    with log.open("rb") as file:
        file.seek(end)
        words = file.read(size - end)
    whole = words[: words.rfind(b"\n") + 1]  # the rest of the last line comes with the next look
    for line in whole.decode(errors="replace").splitlines():
        _show(name, line, width)
    return end + len(whole)


def _show(name: str, line: str, width: int) -> None:
    print(f"{name:<{width}} | {line}" if width else line, flush=True)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
