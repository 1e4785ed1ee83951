"""How the command ends: one number for each kind of end. Unknown numbers mean failure."""

from __future__ import annotations

from filestore_sdk import errors

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
AGAIN = 5
CONFLICT = 6
DRIFT = 7
PARTIAL = 8
TIMEOUT = 10
BUSY = 11
CANCELLED = 130

MEANING = {
    OK: "it is done",
    FAILED: "it failed",
    USAGE: "the command line is wrong",
    NOT_FOUND: "there is no such file, directory, mount or id",
    NOT_ALLOWED: "the token is missing, wrong, or may not do that",
    AGAIN: "the server or a mount is away; the same command can succeed later",
    CONFLICT: "what is there does not let it happen: a name is taken, a version has changed",
    DRIFT: "something on a mount is not what the record says",
    PARTIAL: "some of it is done, some is not; each failure was told",
    TIMEOUT: "it goes on at the server, longer than this command waits",
    BUSY: "another command holds the path",
    CANCELLED: "you ended it",
}

_OF = (
    (errors.StillRunning, TIMEOUT),
    (errors.PathBusy, BUSY),
    (errors.NotAllowed, NOT_ALLOWED),
    (errors.Missing, NOT_FOUND),
    (errors.Conflict, CONFLICT),
    (errors.InvalidInput, USAGE),
    (errors.Passing, AGAIN),
    (errors.Unreachable, AGAIN),
    (errors.OutcomeUnknown, AGAIN),
)


def code_of(error: errors.FilestoreError) -> int:
    return next((code for kind, code in _OF if isinstance(error, kind)), FAILED)
