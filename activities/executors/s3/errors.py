"""What the errors of an object store mean: a condition that did not hold, or trouble with the whole mount."""

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from activities.executors.contract.task import Refused
from schema.errors import (
    FilestoreError,
    Forbidden,
    InvalidPath,
    MountOffline,
    MountReadOnly,
    PayloadTooLarge,
    StorageFull,
)


class Broken(Exception):
    """The connection ended, or what came is no answer."""


class Missing(Exception):
    """There is no such object. After a HEAD the bucket itself may be missing: `check` tells."""


class ConditionFailed(Exception):
    """Something else lies at the key than the condition says."""


class Contended(Exception):
    """Another program writes to the key at this very moment: look again."""


class UploadGone(Exception):
    """There is no such multipart upload (any more): completed, aborted or expired."""


class NoBucket(MountOffline):
    """The bucket does not exist (any more). Look at the mount's bucket and endpoint."""


class StoreRefuses(MountOffline):
    """The store knows the mount's credentials, and does not permit this to them: by a policy, or because the object is retained."""


class PastTheEnd(Exception):
    """The range begins behind the last byte."""


BUSY = Refused("PATH_BUSY", "The object changed each time it was looked at. Try again shortly with the same key.")
NO_PARENT = Refused(
    "PARENT_NOT_FOUND",
    "The parent directory is not there in the bucket, whatever the record says. Reconcile the mount.",
)
NO_FOLDER = Refused(
    "NOT_A_DIRECTORY", "A parent directory is an object with content in the bucket. Reconcile the mount."
)
TAKEN = Refused(
    "NODE_EXISTS",
    "The name is taken in the bucket by something Filestore does not know; it was not touched. Reconcile it.",
)
VANISHED = Refused(
    "NODE_NOT_FOUND", "It is no longer there in the bucket: another program removed it behind Filestore's back."
)
CHANGED = Refused(
    "VERSION_CONFLICT",
    "It was changed in the bucket behind Filestore's back, and is untouched. Reconcile it, then decide anew.",
)
RETAINED = Refused(
    "HELD",
    "The bucket retains the marker of this directory, and lets it go when its retention ends. Delete it then; it is untouched.",
)
HAUNTED = Refused(
    "NODE_EXISTS",
    "The store lists nothing at this name and refuses it. A directory with a history may have been there.",
)
LOST = Refused("STAGE_LOST", "The staged content is gone or was changed. Send the same key and content again.")
EXPIRED = Refused("CONTENT_EXPIRED", "What was to be restored is no longer in the trash of the bucket.")
ITEM_BY_ITEM = Refused("NOT_SUPPORTED", "An object store has no trees: this goes item by item.")

_CONDITIONS: dict[str, type[Exception]] = {
    "NoSuchKey": Missing,
    "NoSuchVersion": Missing,
    "PreconditionFailed": ConditionFailed,
    "ConditionalRequestConflict": Contended,
    "OperationAborted": Contended,
    "NoSuchUpload": UploadGone,
    "InvalidRange": PastTheEnd,
}
_BY_STATUS: dict[int, type[Exception]] = {404: Missing, 412: ConditionFailed, 409: Contended, 416: PastTheEnd}
_OFFLINE = {
    "InvalidAccessKeyId": "The store does not know the mount's access key. Give the mount valid credentials.",
    "SignatureDoesNotMatch": "The mount's secret key does not fit its access key. Give the mount valid credentials.",
    "ExpiredToken": "The mount's temporary credentials have expired. Give the mount new ones.",
    "TokenRefreshRequired": "The mount's temporary credentials have expired. Give the mount new ones.",
    "InvalidToken": "The store refuses the mount's session token. Give the mount valid credentials.",
    "RequestTimeTooSkewed": "The clocks of this host and of the store differ too much. Set this host's clock.",
    "RequestExpired": "The clocks of this host and of the store differ too much. Set this host's clock.",
    "AccessDenied": "The store does not permit this to the mount's credentials. Look at its policies.",
    "AllAccessDisabled": "All access to the bucket is disabled. Ask the administrator of the store.",
    "PermanentRedirect": "The bucket lies in another region. Look at the mount's region and endpoint.",
    "AuthorizationHeaderMalformed": "The bucket lies in another region. Look at the mount's region and endpoint.",
    "SlowDown": "The store asks to slow down. It will be tried again.",
    "ServiceUnavailable": "The store is not available at the moment. It will be tried again.",
}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity"}
_READ_ONLY = {"ReadOnly", "MethodNotAllowed"}
_TOO_LARGE = {"EntityTooLarge", "MaxMessageLengthExceeded"}
_NAMES = {"KeyTooLongError", "InvalidURI", "XMinioInvalidObjectName", "InvalidObjectName"}


@contextmanager
def explaining() -> Iterator[None]:
    """Turn errors of the client library and of the line into ours. Their texts are left out where they could quote a
    request."""
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise answered(status, str(error.response.get("Error", {}).get("Code", "")), error.operation_name) from error
    except (
        BotoCoreError,
        HTTPError,
        HTTPException,
        Broken,
        ConnectionError,
        TimeoutError,
        ssl.SSLCertVerificationError,
    ) as error:
        raise _of_line(error) from error


def answered(status: int, code: str, asked: str) -> Exception:
    """The error that an answer without success means. `asked`: the request."""
    if code in _CONDITIONS:
        return _CONDITIONS[code](code)
    if code == "NoSuchBucket":
        return NoBucket()
    if code == "AccessDenied":
        return StoreRefuses(_OFFLINE[code])
    if code == "InvalidObjectState":
        return Forbidden("The object is archived at the store. Have the store bring it back, then read it.")
    if code in _OFFLINE:
        return MountOffline(_OFFLINE[code])
    if code in _FULL or status == 507:
        return StorageFull()
    if code in _READ_ONLY:
        return MountReadOnly("The bucket takes no changes.")
    if code in _TOO_LARGE or status == 413:
        return PayloadTooLarge("The store does not take so large an object.")
    if code in _NAMES:
        return InvalidPath("The store does not take this name.")
    if status in (401, 403):
        return MountOffline(
            "The store refuses the mount's credentials. Look at them, at its policies and at the clock."
        )
    if status >= 500 or status in (408, 429) or code in ("RequestTimeout", "InternalError"):
        return MountOffline(f"The store answered {status} {code}. It will be tried again.")
    if status in _BY_STATUS:
        return _BY_STATUS[status](code)
    # A checksum that does not fit (BadDigest), or a refusal that no table here lists.
    return OSError(errno.EIO, f"the store answered {status} {code} to {asked}")


def _of_line(error: Exception) -> Exception:
    match error:
        case ParamValidationError():
            return OSError(errno.EINVAL, "the store's client refused the request")
        case NoCredentialsError() | PartialCredentialsError():
            return MountOffline("There are no credentials for this mount. Give it some, or set AWS_ACCESS_KEY_ID.")
        case SSLError() | ssl.SSLCertVerificationError():
            return MountOffline("The store's certificate is not trusted. Look at the mount's caBundle.")
        case ConnectTimeoutError() | ReadTimeoutError() | TimeoutError():
            return MountOffline("The store did not answer in time. It will be tried again.")
        case HTTPClientError() | _:
            return MountOffline("The connection to the store failed. It will be tried again.")


def refusal_of(error: FilestoreError) -> Refused | None:
    """The refusal, if the error concerns this one command and not the mount: it is answered, not tried again."""
    if isinstance(error, Forbidden | InvalidPath | PayloadTooLarge | StorageFull | MountReadOnly):
        return Refused(error.code, error.message)
    return None
