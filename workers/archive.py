"""The archive of the journal, by hand: `python -m workers.archive [--verify]`. FILESTORE_ARCHIVE_PATH says where it lies.

Writes what the journal has and the archive has not; the worker does so on a schedule. `--verify` reads all of the archive
instead, and changes nothing. Exit codes: 0 done, 1 the archive is broken, or a rebuild would make other nodes, 2 usage.
"""

import argparse
import asyncio
import sys

from activities.upkeep.archive import Archive, Archived, ArchivePlace, read_archive
from activities.upkeep.archive_places import open_place
from schema.archive.segments import BrokenArchive
from schema.settings import Settings
from workers import wiring
from workers.process import logs


async def write(settings: Settings, place: ArchivePlace) -> Archived:
    async with wiring.connections_of_a_command(settings) as pool:
        archive, done = Archive(pool, place), Archived(more=True)
        while done.more:
            done = await archive.archive()
        return done


def verify(place: ArchivePlace) -> str:
    """Raises BrokenArchive."""
    counted: dict[str, int] = {}
    for line in read_archive(place):
        counted[line.kind] = counted.get(line.kind, 0) + 1
    segments, entries = counted.get("segment", 0), counted.get("entry", 0)
    return f"{segments} segments with {entries} entries and {counted.get('version', 0)} versions: whole."


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.archive")
    parser.add_argument("--verify", action="store_true", help="read all of it, and write nothing")
    arguments = parser.parse_args()
    settings = logs.settings()
    if settings.archive_path is None:
        parser.error("FILESTORE_ARCHIVE_PATH does not say where the archive lies.")
    place = open_place(settings.archive_path)
    try:
        if arguments.verify:
            print(verify(place))
            return 0
        done = asyncio.run(write(settings, place))
    except BrokenArchive as error:
        print(error)
        return 1
    print(f"The archive has all entries up to {done.last}; {done.different} nodes are not as it would make them.")
    return 1 if done.different else 0


if __name__ == "__main__":
    sys.exit(main())
