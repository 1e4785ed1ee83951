"""What the `data` of each type of event of projects has."""

from pydantic import Field

from api.http.shapes import Shape, exact


class ProjectEventData(Shape):
    """`event`: what people call it."""

    event: str
    project: str
    project_id: str
    backend_mount_id: int


class ObjectEventData(ProjectEventData):
    """A content of a project."""

    sha: str
    size_bytes: int


class ProjectPathData(ProjectEventData):
    """A path of a project, as a commit left it; of one that is gone, as it was."""

    revision: int
    node: str
    principal: str
    project_path: str
    project_path_b64: str = exact("projectPathB64")
    kind: str
    mode: int
    sha: str = Field(default="", description="Of a file")
    size_bytes: int = Field(default=0, description="Of a file")
    project_source: str = Field(default="", description="Where it was moved from")
    project_source_b64: str = exact("projectSourceB64")
    before_sha: str = Field(default="", description="The content that it replaced")


class ProjectChangedData(ProjectEventData):
    """A project has a new head."""

    revision: int
    manifest_sha: str
    node: str
    principal: str


class ProjectConflictData(ProjectEventData):
    """Two nodes changed one path without knowing of each other."""

    revision: int
    winner_sha: str
    loser_sha: str
    project_path: str
    project_path_b64: str = exact("projectPathB64")
    kept_as: str = Field(default="", description="Where the loser stands now")
    kept_as_b64: str = exact("keptAsB64")


class ProjectStateData(ProjectEventData):
    state: str
    principal: str
