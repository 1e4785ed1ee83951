"""The steps by which something staged appears on a local disk: create at a free name, replace in one exchange."""

from activities.executors.contract.identity import Identity
from activities.executors.contract.task import Done, Refused, Result, Unclear
from activities.executors.local.errors import CHANGED, LOST, TAKEN
from activities.executors.local.groups import inherit_group
from activities.executors.local.steps.ends import Ends
from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE


class LocalCreate:
    """From the stage to a free name."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task

    def act(self) -> Result:
        ends = self.ends
        own = ends.look(ends.stage)
        if not ends.staged.same_inode(own):
            return self._before(own)
        refused = _spoiled(ends, own) or ends.path.missing
        if refused is None:
            inherit_group(ends.path.place[0], *ends.stage.place, tree=self.task.tree)
        refused = refused or ends.take(ends.stage, ends.path, RENAME_NOREPLACE, TAKEN)
        return refused or ends.arrived(ends.path, ends.staged, recognised=False)

    def _before(self, own: Identity | None) -> Result:
        """The stage has left its name: by our own earlier step, since no other program works there."""
        ends = self.ends
        ends.sure()
        if ends.staged.same_inode(ends.look(ends.path)):
            return ends.arrived(ends.path, ends.staged, recognised=True)
        if self.task.attempt == 1:
            return LOST
        if own is None:
            return ends.arrived(ends.path, ends.staged, recognised=True)
        return Unclear(
            "Something unknown lies under the name of the stage; whether the file ever appeared is not known."
        )

    def is_before(self) -> bool:
        ends = self.ends
        return ends.staged.same_content(ends.look(ends.stage)) and not ends.not_empty(ends.stage, ends.staged)

    def is_after(self) -> bool:
        ends = self.ends
        ours = ends.staged.same_content(ends.look(ends.path)) and not ends.not_empty(ends.path, ends.staged)
        return ours and ends.look(ends.stage) is None

    def back(self) -> None:
        self.ends.rename(self.ends.path, self.ends.stage)

    def forth(self) -> None:
        self.ends.rename(self.ends.stage, self.ends.path)


class LocalReplace:
    """The stage and the expected file swap their names, so that the old content waits under our own."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.task = ends, ends.task

    def act(self) -> Result:
        ends = self.ends
        own = ends.look(ends.stage)
        recognised = not ends.staged.same_inode(own)
        if not recognised:
            refused = _spoiled(ends, own) or ends.unexpected(ends.path, ends.expected)
            if refused is None:
                inherit_group(ends.path.place[0], *ends.stage.place)
            refused = refused or ends.take(ends.stage, ends.path, RENAME_EXCHANGE, TAKEN)
            if refused:
                return refused
            own = ends.look(ends.stage)
        if ends.is_expected(ends.stage, own):
            return ends.arrived(ends.path, ends.staged, recognised)
        return self._before() if own is None else ends.undo(self._put_back, CHANGED)

    def _before(self) -> Result:
        """Neither the new nor the old content lies under our own name: the target alone can tell."""
        self.ends.sure()
        found = self.ends.look(self.ends.path)
        if self.ends.staged.same_inode(found):
            return Done(
                found, recognised=True, drift="The replaced content was removed from the stage by another program."
            )
        return LOST

    def _put_back(self) -> None:
        ends = self.ends
        found = ends.look(ends.path)
        if ends.staged.same_inode(found):
            ends.rename(ends.stage, ends.path, RENAME_EXCHANGE)
        elif ends.path.folder is not None and found is None:
            ends.rename(ends.stage, ends.path)
        else:
            ends.disk.keep(*ends.stage.place, self.task)

    def is_before(self) -> bool:
        ends = self.ends
        return ends.staged.same_content(ends.look(ends.stage)) and ends.expected.same_content(ends.look(ends.path))

    def is_after(self) -> bool:
        ends = self.ends
        return ends.expected.same_content(ends.look(ends.stage)) and ends.staged.same_content(ends.look(ends.path))

    def back(self) -> None:
        self.ends.rename(self.ends.stage, self.ends.path, RENAME_EXCHANGE)

    def forth(self) -> None:
        self.back()


def _spoiled(ends: Ends, own: Identity | None) -> Refused | None:
    """Another program wrote into the stage: its checksum is no longer that of the intent."""
    return None if ends.staged.same_content(own) else LOST
