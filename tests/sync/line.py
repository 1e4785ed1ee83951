"""A line between an agent and the service that can be cut, or fall silent, and be mended."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class LineOfTest:
    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        self._target = (place.hostname or "127.0.0.1", place.port or 80)
        self._guard, self._ends = threading.Lock(), set[socket.socket]()
        self._open, self._flows = threading.Event(), threading.Event()
        self._open.set()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is open breaks off, and nothing new is let through."""
        self._open.clear()
        self._drop()

    def silence(self) -> None:
        """All stays open, and nothing arrives."""
        self._flows.clear()

    def mend(self) -> None:
        if not self._flows.is_set():
            self._drop()
        self._open.set()
        self._flows.set()

    def close(self) -> None:
        self.cut()
        self._flows.set()
        self._listener.close()

    def _drop(self) -> None:
        with self._guard:
            ends, self._ends = self._ends, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self._open.is_set():
                    raise ConnectionError
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._guard:
                self._ends |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                self._flows.wait()
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
