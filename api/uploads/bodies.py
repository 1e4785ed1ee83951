"""What clients say of an upload: in JSON, in the fields of a form, in Upload-Metadata."""

from typing import Annotated

from pydantic import Field, Json

from api.commands.bodies import CommandBody
from api.http.fields import Count, Id, JsonBody, Key, Metadata, Query, Short, Text


class DirectUpload(CommandBody):
    """A file whose content its client puts into the bucket itself."""

    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    size_bytes: Count
    content_hash: Short
    content_type: Short | None = None
    metadata: Metadata | None = None
    overwrite: bool | None = None
    expires_in: Annotated[int, Field(ge=1, le=3600)] = 900


class UploadFields(Query):
    """The fields of the form, before its file."""

    backend_mount_id: Id
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    metadata: Text | None = None
    overwrite: bool | None = None
    idempotency_key: Key | None = None


class UploadMetadata(JsonBody):
    """The form's field `metadata`, parsed."""

    metadata: Json[Metadata | None]


class ResumableFields(UploadFields):
    """The keys of Upload-Metadata that mean something here."""

    filename: Text | None = None
    filetype: Text | None = None
