"""Timeouts and retries by kind of activity, named. Local activities get their policy as keyword arguments."""

from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy

BRIEF: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=8),
    "schedule_to_close_timeout": timedelta(seconds=12),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=100), backoff_coefficient=2, maximum_attempts=3
    ),
}
"""Before anything is visible: give up soon, the client may try again."""

PERSISTENT: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=30),
    "schedule_to_close_timeout": timedelta(minutes=2),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=100), backoff_coefficient=2, maximum_interval=timedelta(seconds=3)
    ),
}
"""For activities after the visible step: the record must follow. Commands that even this policy gives up are resumed by
the sweeper."""

COURTESY: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(maximum_attempts=1),
}
"""Best effort: a schedule does it again."""

BACKGROUND: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=5),
    "schedule_to_close_timeout": timedelta(minutes=10),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5)),
}
"""Regular activities of resumed commands and sweeps. A worker that died is noticed by its silence (`workers/process/beats.py`)."""

RECORD: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=20),
    "schedule_to_close_timeout": timedelta(minutes=60),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5)),
}
"""The record of commands that go on by themselves: one transaction, however many nodes a directory has."""

LONG: dict[str, Any] = {
    "start_to_close_timeout": timedelta(hours=24),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=60)),
}
"""Bytes move for as long as it takes."""


TURN: dict[str, Any] = {
    "start_to_close_timeout": timedelta(hours=24),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=5
    ),
}
"""One turn of many: what it could not do a runner that begins anew tries again."""


def kept(time: timedelta) -> dict[str, Any]:
    """An activity that goes on for a given time, in another process when its own dies."""
    return {
        "schedule_to_close_timeout": time + timedelta(minutes=2),
        "heartbeat_timeout": timedelta(seconds=10),
        "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)),
    }


DELIVERY: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=3),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
}
"""A turn of a webhook. A target that does not answer is no failure of the activity: its row says when the next attempt is due."""
