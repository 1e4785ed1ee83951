"""A worker that dies while it plans or runs an operation: every item happens once, and the counters say so."""

import pytest

from tests.e2e.test_commands import result
from tests.e2e.test_operations import asked, ended, has_done, reached, shown, steered
from tests.fix_service import PATIENCE, MountOfTest, Service, until

FILES = 24
POINTS = [
    "operation.planned", "operation.next", "begin.before_commit", "begin.committed", "stage.recorded",
    "apply.locked", "apply.acted", "apply.flushed", "commit.before_commit", "commit.committed",
]  # fmt: skip


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("a", "a/b", "a/c"):
        result(service.mkdir(mount, path), 201)
    for number in range(FILES):
        result(service.upload(mount, f"a/{'bc'[number % 2]}/{number:02}", b"content %d" % number), 201)
    return mount


def dies(service: Service) -> None:
    service.processes.pop("worker").wait(PATIENCE)
    service.start("worker")


def with_fault(service: Service, fault: str) -> None:
    service.settle()
    service.kill("worker")
    service.start("worker", fault=fault)


def copied(mount: MountOfTest, source: str, target: str) -> dict[str, bytes | None]:
    lies = mount.on_disk()
    return lies | {target + path[len(source) :]: lies[path] for path in lies if (path + "/").startswith(source + "/")}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_loses_no_item_and_does_none_twice(
    service: Service, tree: MountOfTest, point: str, nth: int
) -> None:
    expected = copied(tree, "a", "copy")
    with_fault(service, f"{point}=kill@{nth}")
    operation = asked(service, tree, "copy", path="a", targetPath="copy")
    dies(service)
    done = ended(service, operation)
    assert done["progress"]["itemsDone"] == done["plan"]["items"] == FILES + 3
    assert tree.on_disk() == expected
    made = [entry for entry in service.journal(tree) if entry["operationId"] == operation["id"]]
    assert len([entry for entry in made if entry["outcome"] == "succeeded"]) == FILES + 3


@pytest.mark.sampled(1)
@pytest.mark.parametrize("point", ["operation.next", "begin.committed", "apply.acted", "commit.committed"])
def test_a_worker_that_dies_while_it_rolls_back_puts_all_of_it_back(
    service: Service, tree: MountOfTest, point: str
) -> None:
    before = tree.on_disk()
    operation = asked(service, tree, "copy", path="a", targetPath="copy", options={"filesPerSecond": 20})
    has_done(service, operation, 10)
    steered(service, operation, "pause")
    reached(service, operation, "paused")
    with_fault(service, f"{point}=kill@2")
    steered(service, operation, "cancel", rollback=True)
    dies(service)
    done = ended(service, operation, "rolled_back")
    assert tree.on_disk() == before and done["progress"]["itemsReversed"] > 10


def test_a_request_that_nobody_hears_of_is_carried_out_from_the_row(service: Service, tree: MountOfTest) -> None:
    operation = asked(service, tree, "copy", path="a", targetPath="copy", options={"filesPerSecond": 10})
    has_done(service, operation, 3)
    service.kill("worker")
    assert steered(service, operation, "cancel")["state"] == "cancelling"
    assert until(lambda: shown(service, operation)["state"] == "cancelling")
    service.start("worker")
    done = ended(service, operation, "cancelled")
    assert done["progress"]["itemsRunning"] == 0 and done["progress"]["itemsDone"] < FILES


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("kind", "point"), [("verify", "operation.worked"), ("purge", "purge.marked"), ("purge", "purge.unlinked")]
)
def test_a_worker_that_dies_at_items_that_are_no_commands_ends_them_once(
    service: Service, tree: MountOfTest, kind: str, point: str
) -> None:
    if kind == "purge":
        for number in range(FILES):
            result(service.delete(tree, f"a/{'bc'[number % 2]}/{number:02}"), 200)
    with_fault(service, f"{point}=kill@1")
    options = {"olderThan": 0} if kind == "purge" else {}
    operation = asked(service, tree, kind, options=options)
    dies(service)
    progress = ended(service, operation)["progress"]
    assert (progress["itemsDone"], progress["itemsRunning"]) == (FILES, 0)
