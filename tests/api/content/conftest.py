"""What the tests of content share."""

import pytest

from schema.ids import NodeId
from tests.api.conftest import Tree
from tests.api.content.helpers import TEXT


@pytest.fixture
async def node(tree: Tree) -> NodeId:
    return await tree.file("ten.txt", TEXT, mime_type="text/plain", last_modified_at="2026-11-20T12:00:00.5Z")
