"""The bare requests of each command on an S3 bucket: a closed loop of threads with boto3 or obstore, without any service.

    python -m tests.bench.s3_plain <kind> <clients> <requests> [--client boto3]      (server by the AWS variables)

Kinds: mkdir (put of a marker), upload (put), move (copy and delete), copy (copy), delete (copy to a trash and delete),
big-upload and big-download (one file by boto3's own multipart transfer; `--file`). boto3's puts, copies and deletes bear
the conditions that the service's do; obstore has none for copies and deletes. Metadata asks the store for nothing.
Prints one JSON line.
"""

import argparse
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable

import obstore

from activities.executors.s3.bucket import base64_of
from tests.bench import bucket
from tests.bench.figures import Figures, in_threads
from tests.bench.load import BODY
from tests.bench.running import BUCKET

KINDS = ("mkdir", "upload", "move", "copy", "delete")
FOLDER = "plain"


def with_boto(given: argparse.Namespace) -> tuple[Callable[[str], object], Callable[[str], object]]:
    """What makes a file, and the requests of the kind."""
    client = bucket.boto(os.environ, given.clients)

    def put(name: str, body: bytes = BODY) -> None:
        client.put_object(
            Bucket=BUCKET, Key=f"{FOLDER}/{name}", Body=body, IfNoneMatch="*",
            ChecksumSHA256=base64_of(hashlib.sha256(body).digest()),
        )  # fmt: skip

    def copy(name: str) -> None:
        client.copy_object(
            Bucket=BUCKET, Key=f"{FOLDER}-other/{name}", CopySource={"Bucket": BUCKET, "Key": f"{FOLDER}/{name}"},
            CopySourceIfMatch=etag, IfNoneMatch="*",
        )  # fmt: skip

    def leave(name: str) -> None:
        copy(name)
        client.delete_object(Bucket=BUCKET, Key=f"{FOLDER}/{name}", IfMatch=etag)

    etag = f'"{hashlib.md5(BODY).hexdigest()}"'
    steps: dict[str, Callable[[str], object]] = {
        "mkdir": lambda name: put(f"{name}/", b""), "upload": put, "move": leave, "copy": copy, "delete": leave,
    }  # fmt: skip
    return put, steps[given.kind]


def with_obstore(given: argparse.Namespace) -> tuple[Callable[[str], object], Callable[[str], object]]:
    store = bucket.store(os.environ)

    def put(name: str, body: bytes = BODY) -> None:
        obstore.put(store, f"{FOLDER}/{name}", body, mode="create", use_multipart=False)

    def copy(name: str) -> None:
        obstore.copy(store, f"{FOLDER}/{name}", f"{FOLDER}-other/{name}")

    def leave(name: str) -> None:
        copy(name)
        obstore.delete(store, f"{FOLDER}/{name}")

    steps: dict[str, Callable[[str], object]] = {
        # Its paths end without a slash: an empty object costs the same.
        "mkdir": lambda name: put(name, b""), "upload": put, "move": leave, "copy": copy, "delete": leave,
    }  # fmt: skip
    return put, steps[given.kind]


def big(given: argparse.Namespace) -> Figures:
    client = bucket.boto(os.environ, 16)
    key = f"{FOLDER}/{os.path.basename(given.file)}"
    began = time.perf_counter()
    if given.kind == "big-upload":
        client.upload_file(given.file, BUCKET, key)
    else:
        with open(os.devnull, "wb") as nowhere:
            client.download_fileobj(BUCKET, key, nowhere)
    return {"seconds": time.perf_counter() - began}


def main(given: argparse.Namespace) -> Figures:
    if given.kind.startswith("big-"):
        return big(given)
    make, one = (with_boto if given.client == "boto3" else with_obstore)(given)
    names = [uuid.uuid4().hex for _ in range(given.requests)]
    if given.kind in ("move", "copy", "delete"):
        in_threads(make, names, 16)
    return in_threads(one, names, given.clients)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "big-upload", "big-download"])
    parser.add_argument("clients", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("--client", default="boto3", choices=["boto3", "obstore"])
    parser.add_argument("--file", help="of big-upload and big-download")
    print(json.dumps(main(parser.parse_args())))
