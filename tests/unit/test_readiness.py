"""What readiness says of servers and workers: sentences with a cause and a next step."""

import pytest
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from schema.store.workers import SignOfLife
from workers.engine.health import POSTGRES, REDIS, TEMPORAL, sentence, watcher_word, worker_word

SILENT = "Postgres did not answer within 1.5 s. Check that it runs, and that FILESTORE_DATABASE_URL names it."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PoolTimeout("couldn't get a connection after 1.50 sec"), SILENT),
        (TimeoutError(), SILENT),
        (
            OperationalError("connection refused.\n  Is the server running?"),
            "Postgres is not reachable: connection refused. Check that it runs, and that FILESTORE_DATABASE_URL names it.",
        ),
        (
            OperationalError(),
            "Postgres is not reachable: OperationalError. Check that it runs, and that FILESTORE_DATABASE_URL names it.",
        ),
    ],
)
def test_a_server_that_is_away_is_told_in_a_sentence(error: Exception, said: str) -> None:
    assert sentence(POSTGRES, error) == said


def test_each_server_has_its_own_setting() -> None:
    said = [sentence(server, TimeoutError()) for server in (TEMPORAL, REDIS)]
    assert ["TEMPORAL_ADDRESS" in said[0], "REDIS_URL" in said[1]] == [True, True]


@pytest.mark.parametrize(
    ("sign", "said"),
    [
        (SignOfLife(0.5, True), "ok"), (SignOfLife(10.0, True), "ok"), (None, "No worker of this host runs."),
        (SignOfLife(10.5, True), "The worker of this host was last heard of 10 s ago"),
        (SignOfLife(0.5, False), "The worker of this host is not connected to Temporal."),
    ],
)  # fmt: skip
def test_a_worker_is_known_by_its_signs_of_life(sign: SignOfLife | None, said: str) -> None:
    assert worker_word(sign).startswith(said)
    assert worker_word(sign) == "ok" or worker_word(sign).endswith(".")


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        (0.0, "ok"), (15.0, "ok"), (None, "No watcher of this host runs."),
        (15.5, "The watcher of this host was last heard of 16 s ago"),
    ],
)  # fmt: skip
def test_a_watcher_is_known_by_its_signs_of_life(silent: float | None, said: str) -> None:
    assert watcher_word(silent).startswith(said)
    assert watcher_word(silent) == "ok" or watcher_word(silent).endswith(".")
