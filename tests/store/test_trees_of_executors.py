"""Whether a tree goes in one step is asked of the executor of the mount, and never of the record."""

from typing import Any

from activities.executors.contract.executor import Executor
from schema.commands.verdicts import Go, Refuse
from schema.errors import MountOffline
from schema.ids import MountId
from tests.store.helpers import Protocol, delete, mkdir, upload


class ByItem:
    """Storage that knows no trees."""

    def check_names(self, *given: Any) -> None: ...
    def begin_tree(self, *given: Any) -> None: ...
    def reaches(self, *given: Any) -> None: ...
    def lay(self, *given: Any) -> None: ...
    def end_tree(self, *given: Any) -> None: ...
    def clear_tree(self, *given: Any) -> None: ...


class Served:
    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def of(self, mount: MountId) -> Executor:
        if self._executor is None:
            raise MountOffline()
        executor: Executor = self._executor
        return executor


async def test_a_tree_goes_item_by_item_where_the_executor_says_so(protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, mkdir(mount, "a"))
    await protocol.run(mount, upload(mount, "a/f"))
    protocol.serve(Served(ByItem()))
    gone = delete(mount, "a", recursive=True)
    begun = await protocol.begin(mount, [gone])
    verdict = protocol.audience.verdicts[gone.id]
    assert isinstance(verdict, Go) and verdict.intent.items and begun.long == [gone.id]


async def test_nothing_begins_where_the_executor_can_not_be_opened(protocol: Protocol, mount: MountId) -> None:
    protocol.serve(Served(None))
    request = mkdir(mount, "a")
    assert (await protocol.begin(mount, [request])).refused == [request.id]
    verdict = protocol.audience.verdicts[request.id]
    assert isinstance(verdict, Refuse) and verdict.error.code == "MOUNT_OFFLINE"
    assert protocol.outcome(request.id).code == "MOUNT_OFFLINE"
