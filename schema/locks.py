"""Every advisory lock of this database, each with a number of its own: whatever takes one names it here."""

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """The key of a lock, as Postgres takes it. They are one space with those of every other program on the database, so
    they start far from zero."""

    MIGRATE = 720000
    """One migrator at a time; held by its session"""
    BEGIN = 720001
    """One `begin` per mount: the first half of a key of two, the mount's id is the other; ends with the transaction"""
    FEED = 720002
    """One process gives events their positions; held by its session"""
    BUS = 720003
    """One process speaks to Redis; held by its session, for as long as Redis takes to answer"""
    FOLD = 720004
    """One process folds rollup deltas; ends with the transaction"""
    UPLOADS = 720005
    """One announcement of an upload at a time per principal, so that its limits hold; ends with the transaction"""
    OPERATIONS = 720006
    """One operation at a time takes its subtrees; ends with the transaction"""
    RECOMPUTE = 720007
    """One page of a recompute or proof per mount: the first half of a key of two; ends with the transaction"""
    TIMESTORE = 720008
    """One process takes events into the Timestore; held by its session, for as long as a batch takes"""
    TRASH = 720009
    """Plans that count on what the trash keeps share it; what is purged is marked alone. Ends with the transaction"""
    QUOTA = 720010
    """One `begin` at a time counts on a quota of more than one mount: the first half of a key of two; ends with the transaction"""
    FREEZE = 720011
    """What changes a mount without a `begin` shares it, a new freeze takes it alone: the first half of a key of two; ends with the
    transaction"""
    ARCHIVE = 720020
    """One process writes to the archive of the journal; held by its session, for as long as a segment takes"""
