"""`UPath("filestore://mount/path")`: universal_pathlib finds this class by the distribution's entry point."""

import fsspec
from upath import UPath

from filestore_sdk.fs import FilestoreFileSystem

# universal_pathlib asks how addresses are split before the first of them is opened.
fsspec.register_implementation("filestore", FilestoreFileSystem, clobber=True)


class FilestorePath(UPath):
    """A path of a mount, with pathlib's names. `endpoint`, `token` and `profile` are storage options, as of the driver."""

    __slots__ = ()
