"""How many directories a process may watch, of all its mounts together."""

import threading


class WatchLimit:
    def __init__(self, most: int = 0) -> None:
        """`most` 0: as many as the kernel lets this user have."""
        self._most = most
        self._used: dict[object, int] = {}
        self._guard = threading.Lock()

    def has_room(self, owner: object, used: int) -> bool:
        """For one more, where this owner has `used` already. From any thread."""
        with self._guard:
            self._used[owner] = used
            return self._most == 0 or sum(self._used.values()) < self._most

    def give_up(self, owner: object) -> None:
        with self._guard:
            self._used.pop(owner, None)
