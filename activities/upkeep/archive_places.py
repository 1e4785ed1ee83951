"""Where the archive of the journal lies: a folder, or a prefix of a bucket. What is written is never written again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from activities.upkeep.archive import ArchivePlace


def open_place(path: str) -> ArchivePlace:
    """`path`: a folder, or s3://bucket/prefix. Of the bucket, boto3 finds endpoint, region and credentials as ever."""
    if not path.startswith("s3://"):
        return ArchiveFolder(path)
    import boto3  # a process without an archive in a bucket need not load it

    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    return ArchiveBucket(boto3.client("s3"), bucket, prefix)


class ArchiveFolder:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def names(self) -> Sequence[str]:
        return os.listdir(self._folder) if os.path.isdir(self._folder) else []

    def read(self, name: str) -> bytes:
        with open(os.path.join(self._folder, name), "rb") as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, name)
        with open(f"{path}.part", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.part", path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class ArchiveBucket:
    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def names(self) -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        return [one["Key"].removeprefix(self._prefix) for page in pages for one in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
        return bytes(answer["Body"].read())

    def write(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)
