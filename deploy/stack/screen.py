"""The one screen that a person sees when the stack is ready."""

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any

from deploy.stack.folder import Folder
from deploy.stack.http_get import http_get
from deploy.stack.s3 import BUCKET


def screen(folder: Folder, variables: Mapping[str, str]) -> str:
    if "FILESTORE_URL" not in variables:  # a part of the stack, for tests
        return f"ready; the variables are in {folder.env}"
    mounts = _mounts(variables)
    local = _local(mounts)
    env = _short(folder.env)
    auth = '-H "Authorization: Bearer $FILESTORE_TOKEN"'
    url = variables["FILESTORE_URL"]
    return f"""
Filestore is ready.

  API           {url}
  API docs      {url}/docs
  Temporal UI   {variables.get("TEMPORAL_UI_URL", "-")}
  S3            {variables["AWS_ENDPOINT_URL"]}  (bucket {BUCKET}; keys in {env})
  Token         {variables["FILESTORE_TOKEN"]}  (admin)
{_mount_lines(mounts)}

Make a directory, upload a file, list:

  . {env}
  curl -s {auth} $FILESTORE_URL/v1/directories -H 'Content-Type: application/json' \\
    -d '{{"backendMountId": {local}, "path": "hello"}}'
  curl -s {auth} $FILESTORE_URL/v1/files -F backendMountId={local} -F path=hello/README.md -F file=@README.md
  curl -s {auth} "$FILESTORE_URL/v1/nodes?backendMountId={local}&path=hello"
{_bucket_lines(mounts, auth)}
make status, make logs, make demo, make stop: `make help` says more.
"""


def _mounts(variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Empty when the API was killed in this very moment: it comes back, and the rest of the screen is worth showing."""
    headers = {"authorization": f"Bearer {variables['FILESTORE_TOKEN']}"}
    try:
        answer = http_get(f"{variables['FILESTORE_URL']}/v1/backend-mounts", headers)
    except (OSError, http.client.HTTPException):
        return []
    mounts: list[dict[str, Any]] = json.loads(answer)["data"]["mounts"]
    return mounts


def _mount_lines(mounts: list[dict[str, Any]]) -> str:
    lines = []
    for mount in mounts:
        place = mount.get("rootPath") or f"s3://{mount.get('bucket')}/{mount.get('prefix') or ''}"
        lines.append(f"  Mount {mount['id']:<8}{mount['mountKey']}  {place}")
    return "\n".join(lines)


def _bucket_lines(mounts: list[dict[str, Any]], auth: str) -> str:
    bucket = next((mount["id"] for mount in mounts if mount["backendKind"] == "s3"), None)
    if bucket is None:
        return ""
    return f"""
The same in the bucket, and a file that goes there from the folder:

  curl -s {auth} $FILESTORE_URL/v1/files -F backendMountId={bucket} -F path=README.md -F file=@README.md
  curl -s {auth} $FILESTORE_URL/v1/nodes/copy -H 'Content-Type: application/json' \\
    -d '{{"backendMountId": {_local(mounts)}, "path": "hello/README.md",
         "targetBackendMountId": {bucket}, "targetPath": "copy.md"}}'
"""


def _local(mounts: list[dict[str, Any]]) -> int:
    return next((int(mount["id"]) for mount in mounts if mount["backendKind"] == "local"), 1)


def _short(path: os.PathLike[str]) -> str:
    """Relative to where the person stands, when that is shorter."""
    return min(os.path.relpath(path), os.fspath(path), key=len)
