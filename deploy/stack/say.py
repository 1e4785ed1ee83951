"""One line to whoever watches: a person at a terminal, or the supervisor's log."""

import time


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
