"""The measurements' bucket, as boto3 and obstore reach it; both by the variables that every AWS tool reads."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from obstore.store import S3Store

from activities.executors.s3.bucket import Bucket
from activities.executors.s3.wire import account as s3_account
from tests.bench.running import BUCKET

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def boto(env: Mapping[str, str], connections: int) -> "S3Client":
    """Set up as the service's own client is. The bucket is there when this returns."""
    client = s3_account.connect(_account(env), connections)
    try:
        client.create_bucket(Bucket=BUCKET)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 409:
            raise
    return client


def own(env: Mapping[str, str], connections: int) -> Bucket:
    """As the service asks it."""
    account = _account(env)
    return Bucket(*s3_account.wired(account, BUCKET, connections), BUCKET)


def _account(env: Mapping[str, str]) -> s3_account.Account:
    return s3_account.account_of(
        {"endpoint": env["AWS_ENDPOINT_URL"]},
        {"accessKeyId": env["AWS_ACCESS_KEY_ID"], "secretAccessKey": env["AWS_SECRET_ACCESS_KEY"]},
    )


def store(env: Mapping[str, str]) -> S3Store:
    return S3Store(
        BUCKET, endpoint=env["AWS_ENDPOINT_URL"], access_key_id=env["AWS_ACCESS_KEY_ID"],
        secret_access_key=env["AWS_SECRET_ACCESS_KEY"], region="us-east-1", client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )  # fmt: skip
