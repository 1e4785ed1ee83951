"""What a run says of itself in Temporal: a line for each command while it goes on, and how each ended.

Only what did not simply succeed costs a command of the workflow: a run without `FsOutcome` has done all that it was asked.
"""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from schema.commands.command import Command
    from schema.ids import CommandId
    from workflows.commands import attributes


class Shown:
    """Of one run. `shows`: an earlier release started it, whose history has none of these commands."""

    def __init__(self, requests: Sequence[Command], *, shows: bool, always: bool = False) -> None:
        self._requests, self._shows, self._always = requests, shows, always
        self._outcomes: dict[CommandId, str] = {}

    def tell(self, outcomes: dict[CommandId, str]) -> None:
        """Of commands, by id: of their requests or of their rows."""
        self._outcomes |= outcomes

    def goes_on(self, commands: Sequence[CommandId]) -> None:
        self.tell(dict.fromkeys(commands, "running in a run of its own"))

    def end(self) -> None:
        """The last thing that the workflow does."""
        text = self._text()
        workflow.set_current_details(text)
        if not self._shows or not (self._outcomes or self._always):
            return
        updates = [attributes.FS_OUTCOME.value_set(attributes.word(self._outcomes.values()))]
        if len(self._requests) == 1 and self._outcomes:
            [said] = set(self._outcomes.values())
            updates.append(attributes.FS_SUMMARY.value_set(f"{attributes.summary(self._requests)}: {said}"))
        workflow.upsert_search_attributes(updates)
        workflow.upsert_memo({"outcome": text})

    def _text(self) -> str:
        known = {request.id for request in self._requests}
        shown = attributes.lines(self._requests, {id: self._outcomes.get(id, "succeeded") for id in known})
        # A command that runs under the id of an earlier request is known by that.
        others = [f"- command {id}: **{said}**" for id, said in self._outcomes.items() if id not in known][:20]
        return "\n".join([line for line in (shown, *others) if line]) or "- **succeeded**"
