"""An empty record made whole again from the archive of the journal: `python -m workers.rebuild`. See docs/runbooks.md.

FILESTORE_DATABASE_URL is the empty database, FILESTORE_ARCHIVE_PATH the archive. All or nothing; what is in a record already is
never touched. Each mount gets a job that looks at all of it, which a worker takes up. Exit codes: 0 done, 1 refused, 2 usage.
"""

import argparse
import asyncio
import sys

from activities.upkeep.archive import ArchivePlace
from activities.upkeep.archive_places import open_place
from activities.upkeep.rebuild import NotEmpty, rebuild
from schema.archive.segments import BrokenArchive
from schema.migrate import migrate
from schema.settings import Settings
from schema.store.rebuild import Rebuilt
from workers import wiring
from workers.process import logs


async def run(settings: Settings, place: ArchivePlace) -> Rebuilt:
    """Raises NotEmpty, BrokenArchive."""
    await asyncio.to_thread(migrate, settings.database_url)
    async with wiring.connections_of_a_command(settings) as pool:
        return await rebuild(pool, place)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.rebuild")
    parser.parse_args()
    settings = logs.settings()
    if settings.archive_path is None:
        parser.error("FILESTORE_ARCHIVE_PATH does not say where the archive lies.")
    try:
        made = asyncio.run(run(settings, open_place(settings.archive_path)))
    except NotEmpty:
        print("There is a record in this database already. Nothing was changed: name an empty one.")
        return 1
    except BrokenArchive as error:
        print(f"{error} Nothing was changed.")
        return 1
    print(f"{made.entries} entries and {made.nodes} nodes are there again; {made.unplaced} versions have no place.")
    print("Start the services: a worker looks at each mount. Then set credentials of buckets and make tokens.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
