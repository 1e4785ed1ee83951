"""Clients that generators make of the document list mounts and nodes of the running service."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fix_service import MountOfTest, Service

TOOLS = Path(sys.executable).parent
LISTING = """
import json, sys
from filestore_client import AuthenticatedClient
from filestore_client.api.mounts import list_mounts
from filestore_client.api.nodes import list_nodes

url, token, mount = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = AuthenticatedClient(base_url=url, token=token)
mounts = list_mounts.sync(client=client, limit=100, search=sys.argv[4])
nodes = list_nodes.sync(client=client, backend_mount_id=mount)
print(json.dumps({
    "mounts": [[one.id, one.mount_key] for one in mounts.data.mounts],
    "nodes": [[one.path, one.kind.value, one.size_bytes, one.created_at.year] for one in nodes.data.nodes],
}))
"""


@pytest.fixture
def document(service: Service, tmp_path: Path) -> Path:
    place = tmp_path / "openapi.json"
    place.write_bytes(service.call("GET", "/openapi.json").content)
    return place


def fill(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "reports").status_code == 201
    assert service.upload(mount, "reports/a.csv", b"1,2\n").status_code == 201


def test_a_generated_python_client_lists_mounts_and_nodes(
    service: Service, mount: MountOfTest, document: Path, tmp_path: Path
) -> None:
    fill(service, mount)
    made = subprocess.run(
        [TOOLS / "openapi-python-client", "generate", "--path", document, "--output-path", tmp_path / "filestore_client",
         "--meta", "none"],
        capture_output=True, text=True, check=False, env=os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "schema has resulted in the removal" not in made.stdout, made.stdout
    listed = subprocess.run(
        [sys.executable, "-c", LISTING, service.url, service.token, str(mount.id), mount.key],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    listing = json.loads(listed.stdout)
    assert [mount.id, mount.key] in listing["mounts"]
    assert [node[:3] for node in listing["nodes"]] == [["reports", "directory", 0], ["reports/a.csv", "file", 4]]


PROGRAM = """
import type { paths } from "./filestore";
type Mounts = paths["/v1/backend-mounts"]["get"]["responses"][200]["content"]["application/json"];
type Nodes = paths["/v1/nodes"]["get"]["responses"][200]["content"]["application/json"];
declare const mounts: Mounts, nodes: Nodes;
export const keys: string[] = mounts.data.mounts.map((one) => one.mountKey);
export const sizes: number[] = nodes.data.nodes.map((one) => one.sizeBytes);
// @ts-expect-error  there is no such field: what is not described must not pass
export const nothing = nodes.data.nodes[0].nope;
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="node and npm are not on this machine")
def test_generated_typescript_types_hold_for_mounts_and_nodes(document: Path, tmp_path: Path) -> None:
    def run(*command: str | Path) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    run("npm", "install", "--no-audit", "--no-fund", "openapi-typescript@7.13.0", "typescript@5.9.3")
    run("npx", "--no-install", "openapi-typescript", document, "-o", "filestore.d.ts")
    (tmp_path / "program.ts").write_text(PROGRAM)
    run("npx", "--no-install", "tsc", "--noEmit", "--strict", "--skipLibCheck", "false", "program.ts")
