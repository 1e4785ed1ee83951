"""One line for a person at a terminal, or for the supervisor's log."""

import os
import sys
import time


def say(line: str) -> None:
    try:
        print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
    except OSError:  # the terminal was closed: an orderly end matters more than its words
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of our life
