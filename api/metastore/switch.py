"""Whether the Metastore is there at all."""

from starlette.requests import Request

from api.services import front_of
from schema.errors import NotSupported


def refuse_if_off(request: Request) -> None:
    """Raises NotSupported."""
    if not front_of(request).services.settings.metastore:
        raise NotSupported("The Metastore is switched off here: FILESTORE_METASTORE is false.")
