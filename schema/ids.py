"""The identifiers of the service, and the one place where a new command id is minted."""

import os
import time
import uuid
from typing import NewType

MountId = NewType("MountId", int)
NodeId = NewType("NodeId", int)
JournalId = NewType("JournalId", int)
CommandId = NewType("CommandId", str)
"""A UUIDv7 as lower-case text: it also names the stage and the trash entry of the command."""


FIRST_COMMAND_ID = CommandId(str(uuid.UUID(int=0)))
"""No command has this id, nor a lower one."""


def new_command_id() -> CommandId:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then randomness.

    Nothing relies on the time inside for its correctness; it only makes ids easy to sort by eye.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return CommandId(str(uuid.UUID(int=value)))


def first_command_id_of(moment: float) -> CommandId:
    """The lowest id that is minted at this time, in seconds since 1970."""
    return CommandId(str(uuid.UUID(int=max(0, int(moment * 1000)) << 80)))


def is_command_id(name: str) -> bool:
    """Could one of our stages have this name? Strangers can put files among them."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def lock_offset(command: CommandId) -> int:
    """Where in a mount's lock file this command's byte lies: the 62 random bits of its id."""
    return uuid.UUID(command).int & (1 << 62) - 1
