"""A notification as a store sends it."""

from typing import Any

from pydantic import RootModel


class BucketNotification(RootModel[dict[str, Any]]):
    """The event JSON of S3, MinIO, SeaweedFS or EventBridge, or of one of these in an SNS message."""
