"""The process that answers questions to the Timestore: `python -m workers.reader`, started by an API process, which speaks to it
by its standard input and output. It ends when that process does."""

import signal
import sys

from activities.consumers.reading import serve


def main() -> int:
    # The process that started it tells it when to end, by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
