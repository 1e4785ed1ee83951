"""A server is down: honest answers, nothing lost, and everything goes on when it is back."""

import re
import signal
import time
import uuid

import httpx2
import pytest
import redis as redis_client

from tests.fix_service import MountOfTest, Service, until


def ready(service: Service) -> tuple[int, str]:
    answer = service.call("GET", "/ready")
    return answer.status_code, answer.json()["status"]


def checks(service: Service) -> dict[str, str]:
    answered: dict[str, str] = service.call("GET", "/ready").json()["checks"]
    return answered


def paused(service: Service, name: str) -> "_Paused":
    return _Paused(service, name)


class _Paused:
    """A server that answers no request: stopped, so that the supervisor does not bring it back at once."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self._name = service, name

    def __enter__(self) -> None:
        import os
        import signal

        self._pids = [self._service.stack.pid(self._name)]
        if self._name == "postgres":
            self._pids += _children(self._pids[0])
        for pid in self._pids:
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        import os
        import signal

        for pid in self._pids:
            assert pid is not None
            os.kill(pid, signal.SIGCONT)


def _children(parent: int | None) -> list[int | None]:
    from pathlib import Path

    found: list[int | None] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def test_temporal_down_is_an_honest_503_and_reads_go_on(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "before").status_code == 201
    with paused(service, "temporal"):
        answer = service.mkdir(mount, "during", key="t-down")
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] in ("OUTCOME_UNKNOWN", "UNAVAILABLE")
        assert service.at(mount, "before").status_code == 200
        assert ready(service) == (503, "unavailable")
        assert checks(service)["postgres"] == "ok" and "TEMPORAL_ADDRESS" in checks(service)["temporal"]
    assert until(lambda: ready(service)[0] == 200), "ready again"
    assert until(lambda: service.mkdir(mount, "during", key="t-down").status_code in (200, 201)), (
        "the same key succeeds"
    )
    assert sorted(mount.on_disk()) == ["before", "during"]


def test_temporal_down_is_told_within_two_seconds_and_the_command_can_be_asked_for(
    service: Service, mount: MountOfTest
) -> None:
    assert service.mkdir(mount, "before").status_code == 201
    took: list[float] = []
    with paused(service, "temporal"):
        for number in range(3):
            began = time.monotonic()
            answer = service.mkdir(mount, f"during-{number}", key=f"t-soon-{number}")
            took.append(time.monotonic() - began)
            error = answer.json()["error"]
            assert answer.status_code == 503 and "Temporal" in error["message"] and "same key" in error["message"]
            asked = service.call("GET", f"/v1/commands/{error['details']['commandId']}")
            if error["code"] == "OUTCOME_UNKNOWN":
                assert (asked.status_code, asked.json()["error"]["code"]) == (503, "OUTCOME_UNKNOWN")
            else:
                assert (asked.status_code, asked.json()["data"]["status"]) == (200, "failed")
                assert asked.json()["data"]["code"] == "UNAVAILABLE" and asked.json()["data"]["retryable"]
    # The machine may be busy with one of them, and not with all.
    assert sorted(took)[1] < 2.0, took
    assert until(lambda: ready(service)[0] == 200), "ready again"
    for number in range(3):
        key, name = f"t-soon-{number}", f"during-{number}"
        assert until(lambda key=key, name=name: service.mkdir(mount, name, key=key).status_code in (200, 201))  # type: ignore[misc]


def test_temporal_killed_and_restarted_loses_nothing(service: Service, mount: MountOfTest) -> None:
    pid = service.stack.pid("temporal")
    service.stack.kill("temporal")
    service.stack.wait_restarted("temporal", pid)
    assert until(lambda: service.mkdir(mount, "after", key="t-kill").status_code in (200, 201)), "commands go on"


def test_postgres_down_is_an_honest_503(service: Service, mount: MountOfTest) -> None:
    assert service.mkdir(mount, "before").status_code == 201
    pid = service.stack.pid("postgres")
    with paused(service, "postgres"):
        began = time.monotonic()
        answer = service.mkdir(mount, "during", key="p-down")
        assert answer.status_code == 503 and "retry-after" in answer.headers, answer.text
        assert "Temporal" not in answer.text and "Postgres" in answer.text
        assert ready(service) == (503, "unavailable")
        assert checks(service)["temporal"] == "ok" and "FILESTORE_DATABASE_URL" in checks(service)["postgres"]
        assert time.monotonic() - began < 60
        # By now what the process remembers of tokens and mounts is old: it asks, and hears nothing.
        began = time.monotonic()
        answer = service.at(mount, "before")
        assert answer.status_code == 503 and "retry-after" in answer.headers, answer.text
        assert time.monotonic() - began < 60
        assert service.call("GET", "/health").status_code == 200
    service.stack.kill("postgres")
    service.stack.wait_restarted("postgres", pid)
    assert until(lambda: service.mkdir(mount, "during", key="p-down").status_code in (200, 201)), (
        "the same key succeeds"
    )
    assert sorted(mount.on_disk()) == ["before", "during"]


def test_redis_down_commands_go_on_and_events_wait(service: Service, mount: MountOfTest) -> None:
    with paused(service, "redis"):
        assert service.mkdir(mount, "during").status_code == 201
        assert ready(service) == (200, "degraded")
    url, channel = service.env["REDIS_URL"], service.env["FILESTORE_EVENTS_CHANNEL"]
    assert channel
    with redis_client.Redis.from_url(url) as client:
        assert until(lambda: client.ping()), "redis is back"
    assert until(lambda: service.call("GET", "/ready").json()["checks"]["outbox"]["unpublished"] == 0), (
        "events are published"
    )
    assert service.call("GET", "/ready").json()["checks"]["redis"] == "ok"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("names", [("api",), ("worker",), ("api", "worker")], ids="+".join)
def test_sigterm_drains_and_exits_zero(service: Service, mount: MountOfTest, names: tuple[str, ...]) -> None:
    import threading

    statuses: list[int] = []

    def client(number: int) -> None:
        for attempt in range(40):
            try:
                answer = service.mkdir(mount, f"c{number}-{attempt}", key=f"{uuid.uuid4()}")
            except OSError:
                return
            except Exception as error:
                if type(error).__module__.startswith(("httpx", "httpcore")):
                    return
                raise
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    codes = service.stop(*names)
    for thread in threads:
        thread.join()
    assert set(codes.values()) == {0}, codes
    assert statuses and set(statuses) <= {201, 503}
    made = [name for name in mount.on_disk()]
    assert statuses.count(201) <= len(made)


def worker_up(service: Service) -> float | None:
    """As the metrics of the API have it."""
    page = service.call("GET", "/metrics").text
    found = re.search(r'^filestore_dependency_up{dependency="worker"} (\S+)$', page, re.MULTILINE)
    return float(found[1]) if found else None


def test_a_stopped_worker_shows_and_so_does_one_that_ended(service: Service, mount: MountOfTest) -> None:
    # Of the worker alone: what earlier tests have done to their mounts may show as well.
    assert until(lambda: checks(service)["worker"] == "ok" and worker_up(service) == 1)
    process = service.processes["worker"]
    process.send_signal(signal.SIGSTOP)
    try:
        assert until(lambda: "last heard of" in checks(service)["worker"])
        assert ready(service) == (200, "degraded")
        assert until(lambda: worker_up(service) == 0)
    finally:
        process.send_signal(signal.SIGCONT)
    assert until(lambda: checks(service)["worker"] == "ok" and worker_up(service) == 1)
    assert service.stop("worker") == {"worker": 0}
    # At once, and not after its silence. (One that an earlier test has killed may still be named.)
    assert checks(service)["worker"].startswith(
        ("No worker of this host runs.", "The worker of this host was last heard")
    )
    service.start("worker")
    assert until(lambda: checks(service)["worker"] == "ok")


def test_a_worker_says_itself_how_it_is(service: Service, mount: MountOfTest) -> None:
    with httpx2.Client(timeout=30) as anonymous:

        def swept() -> bool:
            page = anonymous.get(f"{service.worker_url}/metrics").text
            return 'filestore_activities_total{activity="sweep",outcome="completed"}' in page

        assert until(swept)
        assert until(lambda: anonymous.get(f"{service.worker_url}/ready").json()["checks"]["temporal"] == "ok")
        with paused(service, "temporal"):
            assert until(lambda: anonymous.get(f"{service.worker_url}/ready").status_code == 503)
            told = anonymous.get(f"{service.worker_url}/ready").json()["checks"]["temporal"]
        assert "TEMPORAL_ADDRESS" in told
