"""A recompute as clients ask for it."""

from pydantic import Field

from api.http.fields import Id, JsonBody, Text


class NewRecompute(JsonBody):
    """Of this directory and all below it; without a path, of the whole mount."""

    backend_mount_id: Id
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
