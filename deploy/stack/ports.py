"""Choose ports on loopback."""

import random
import socket
from collections.abc import Collection

# Below the range that the kernel takes for outgoing connections: one of those can be gone before its server binds it.
CHOICES = range(20_000, 32_000)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, or the remains of closed connections would count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: Collection[int]) -> int:
    for port in random.sample(CHOICES, k=1_000):
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1")
