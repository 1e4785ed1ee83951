"""The worker process: `python -m workers.worker`. Resumes, sweeps and publishes for the mounts of this host, and finishes what
an API process that died had begun. SIGTERM drains and exits 0."""

import asyncio
import signal
import threading

from schema.settings import Settings
from workers.engine import background
from workers.engine.engine import Engine
from workers.engine.served import ServedMounts
from workers.process import first_run, limits, logs


def main() -> int:
    settings = Settings()  # type: ignore[call-arg]
    logs.configure(settings.log_format)
    limits.raise_descriptors()
    served = ServedMounts(settings.host_id, settings.spool_path)
    entries = first_run.read_mounts(settings.backends_path)
    first_run.withhold(served, entries)
    engine = Engine(settings, served, dispatch=None)

    async def background_work(engine: Engine) -> None:
        await asyncio.gather(background.run(engine), first_run.follow_all(settings, engine.pool, served, entries))

    engine.start(background_work)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    engine.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
