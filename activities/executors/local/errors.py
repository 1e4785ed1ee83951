"""What the errors of a local disk mean: a refusal for the command, or trouble with the whole mount."""

import errno

from activities.executors.contract.task import Refused
from schema.errors import FilestoreError, MountReadOnly, StorageFull, of_the_machine

FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN)
NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)

_DENIED = Refused("FORBIDDEN", "The disk does not permit this to Filestore. Look at owner, mode and attributes there.")
BUSY = Refused("PATH_BUSY", "The path changed on disk each time it was looked at. Try again shortly with the same key.")
NO_PARENT = Refused(
    "PARENT_NOT_FOUND", "The parent directory is not there on disk, whatever the record says. Reconcile the mount."
)
NO_FOLDER = Refused(
    "NOT_A_DIRECTORY", "A parent directory is a file or a link on disk; links are never followed. Reconcile the mount."
)
NO_TARGET = Refused(
    "PARENT_NOT_FOUND",
    "The directory it is to be moved into is not there on disk, whatever the record says. Reconcile it.",
)
INTO_ITSELF = Refused("INVALID_REQUEST", "A directory can not be moved into itself. Nothing was changed.")
TAKEN = Refused(
    "NODE_EXISTS", "The name is taken on disk by something Filestore does not know; it was not touched. Reconcile it."
)
VANISHED = Refused(
    "NODE_NOT_FOUND", "It is no longer there on disk: another program removed it behind Filestore's back."
)
CHANGED = Refused(
    "VERSION_CONFLICT",
    "It was changed on disk behind Filestore's back, and is untouched. Reconcile it, then decide anew.",
)
EXPIRED = Refused("CONTENT_EXPIRED", "It is no longer in the trash, so it can not be restored.")
LOST = Refused("STAGE_LOST", "The staged content is gone or was changed on disk. Send the same key and content again.")
_REFUSALS = {
    errno.ENOSPC: Refused("STORAGE_FULL", StorageFull().message),
    errno.EDQUOT: Refused("STORAGE_FULL", "The quota of this disk is used up. Free some space and send the key again."),
    errno.EROFS: Refused("MOUNT_READ_ONLY", "The disk is mounted read-only. Nothing was changed."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EXDEV: Refused("NOT_SUPPORTED", "The directory lies on another file system, mounted inside of this mount."),
    errno.EBUSY: Refused("NOT_SUPPORTED", "Another file system is mounted at this very name."),
    errno.ENAMETOOLONG: Refused("INVALID_PATH", "This file system does not take so long a name."),
}


def refusal(error: OSError) -> Refused:
    """The refusal for a rename that did not happen. An error that no table here lists stays an error."""
    refused = _REFUSALS.get(error.errno or 0)
    if refused is None:
        raise error
    return refused


def mount_error(error: OSError) -> FilestoreError | None:
    if error.errno in FULL:
        return StorageFull()
    if error.errno in _NO_DESCRIPTOR:
        return of_the_machine(error)
    return MountReadOnly("The disk is mounted read-only.") if error.errno == errno.EROFS else None
