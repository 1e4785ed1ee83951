"""Notifications of every store name the same keys, and what is none is refused."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.drift.hints import Hint
from schema.drift.notifications import NAMED_MAX, NamedKey, named_keys, of_mount
from schema.errors import InvalidRequest


def record(key: str, event: str = "ObjectCreated:Put", bucket: str = "b", **facts: Any) -> dict[str, Any]:
    return {"eventName": event, "s3": {"bucket": {"name": bucket, "arn": "x"}, "object": {"key": key, **facts}}}


AWS = {"Records": [record("p/a+b/%C3%BC%2B.txt", eTag="0123", sequencer="1")]}
MINIO = {"EventName": "s3:ObjectCreated:Put", "Key": "b/p/a b", **AWS}
SNS = {"Type": "Notification", "MessageId": "1", "Message": json.dumps(AWS)}
BRIDGE = {"source": "aws.s3", "detail": {"bucket": {"name": "b"}, "object": {"key": "p/a b/ü+.txt", "etag": "0123"}}}
SEAWEED = {
    "key": "/buckets/b/p/a b/ü+.txt", "event_type": "update",
    "message": {"old_entry": {"name": "x"}, "new_entry": {"name": "ü+.txt"}, "new_parent_path": ""},
}  # fmt: skip


@pytest.mark.parametrize(
    "document", [AWS, MINIO, SNS, BRIDGE, SEAWEED], ids=["aws", "minio", "sns", "bridge", "seaweed"]
)
def test_each_store_names_the_same_key(document: dict[str, Any]) -> None:
    [named] = named_keys(document)
    assert (named.bucket, named.key, named.subtree) == ("b", "p/a b/ü+.txt".encode(), False)
    assert named.etag == ("" if document is SEAWEED else "0123")


def test_a_renamed_directory_of_seaweed_has_two_places_with_their_trees() -> None:
    entries = {
        "old_entry": {"is_directory": True},
        "new_entry": {"name": "n", "is_directory": True},
        "new_parent_path": "/buckets/b/q",
    }
    assert named_keys({"key": "/buckets/b/p/o", "event_type": "rename", "message": entries}) == [
        NamedKey("b", b"p/o", subtree=True), NamedKey("b", b"q/n", subtree=True),
    ]  # fmt: skip


def test_a_path_of_seaweed_outside_of_buckets_names_nothing() -> None:
    for key in ("/etc/x", "/buckets/b", "/topics/buckets"):
        assert named_keys({"key": key, "event_type": "create", "message": {}}) == []


@pytest.mark.parametrize(
    "document", [{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, {"Records": []}]
)
def test_a_test_event_names_nothing(document: dict[str, Any]) -> None:
    assert named_keys(document) == []


def test_what_changes_no_content_names_nothing() -> None:
    kinds = {"ObjectAccessed:Get": 0, "s3:ObjectAccessed:Head": 0, "ObjectTagging:Put": 0, "ObjectRemoved:Delete": 1,
             "s3:ObjectRemoved:DeleteMarkerCreated": 1, "LifecycleExpiration:Delete": 1, "ObjectRestore:Completed": 1}  # fmt: skip
    assert {kind: len(named_keys({"Records": [record("k", kind)]})) for kind in kinds} == kinds


NONE: list[dict[str, Any]] = [
    {}, {"Records": {}}, {"Records": [{}]}, {"Records": [None]}, {"Records": [{"s3": {"bucket": {}, "object": {"key": "k"}}}]},
    {"Type": "Notification", "Message": "no json"}, {"Type": "Notification", "Message": "[]"},
    {"Type": "SubscriptionConfirmation", "SubscribeURL": "http://x"}, {"source": "aws.ec2", "detail": {}},
]  # fmt: skip


@pytest.mark.parametrize("document", NONE, ids=[str(n) for n in range(len(NONE))])
def test_what_is_no_notification_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        named_keys(document)


def test_too_many_keys_and_messages_in_messages_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        named_keys({"Records": [record("k")] * (NAMED_MAX + 1)})
    document: dict[str, Any] = AWS
    for _ in range(9):
        document = {"Type": "Notification", "Message": json.dumps(document)}
    with pytest.raises(InvalidRequest):
        named_keys(document)


def test_a_mount_gets_its_keys_and_our_canary_is_no_hint() -> None:
    named = [
        NamedKey("b", b"p/a"), NamedKey("b", b"p/d/"), NamedKey("b", b"px/a"), NamedKey("c", b"p/a"),
        NamedKey("b", b"p/.filestore/canary"), NamedKey("b", b"p/.filestore/trash/x"), NamedKey("b", b"p/.filestoreX"),
    ]  # fmt: skip
    told = of_mount(named, "b", "/p/")
    assert [hint.path for hint in told.hints] == [b"a", b"d", b".filestoreX"] and told.canary
    whole = of_mount(named, "b", "")
    assert [hint.path for hint in whole.hints][:2] == [b"p/a", b"p/d"] and not whole.canary
    assert of_mount(named[:4], "c", "p").hints == [Hint(b"a", False, "notified")]


NAMES = st.sampled_from(["s3", "bucket", "object", "name", "key", "old_entry", "new_entry", "new_parent_path"])
SCALARS = st.sampled_from([None, True, 0, "", "k", "/buckets/b/k", "{}", "[]"])
VALUES: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["Records", "Type", "Message", "key", "event_type", "message"]), VALUES, max_size=4
)


@given(DOCUMENTS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_is_sent_is_a_defect(document: dict[str, Any]) -> None:
    try:
        named = named_keys(document)
    except InvalidRequest:
        return
    assert all(isinstance(one.key, bytes) and isinstance(one.bucket, str) for one in named)
