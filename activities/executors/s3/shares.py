"""How far a scan of a bucket is: a store says what lies directly in a directory, and so how many of them are behind a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LEVELS = 3
"""So deep it is asked: one request for each directory above a page's last key, and not again while that stays"""


class Shares:
    def __init__(self, folders_in: Callable[[str], Sequence[str] | None], top: str) -> None:
        """`folders_in`: the directories directly below a prefix, in the store's order. None: they are too many to be told."""
        self._folders_in, self._top = folders_in, top
        self._known: dict[str, Sequence[str] | None] = {}
        self._share = 0.0

    def behind(self, key: str) -> float | None:
        """What lies in one directory counts as much as what lies in the one beside it. None: nothing is known yet."""
        share, each, above = 0.0, 1.0, self._top
        self._known = {prefix: folders for prefix, folders in self._known.items() if key.startswith(prefix)}
        for _ in range(LEVELS):
            name, slash, _ = key[len(above) :].partition("/")
            folders = self._of(above) if slash else None
            if not folders or above + name + "/" not in folders:
                break
            each /= len(folders)
            share += each * folders.index(above + name + "/")
            above += name + "/"
        self._share = max(self._share, share)
        return self._share or None

    def _of(self, prefix: str) -> Sequence[str] | None:
        if prefix not in self._known:
            self._known[prefix] = self._folders_in(prefix)
        return self._known[prefix]
