"""The worker process: `python -m workers.worker`. Resumes, sweeps and publishes for the mounts of this host, and finishes what
an API process that died had begun. SIGTERM drains and exits 0."""

import signal
import threading

from schema.settings import Settings
from workers import wiring
from workers.engine import background
from workers.process import limits, logs


def main() -> int:
    settings = Settings()  # type: ignore[call-arg]
    logs.configure(settings.log_format)
    limits.raise_descriptors()
    engine = wiring.worker_engine(settings)
    engine.start(background.run)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    engine.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
