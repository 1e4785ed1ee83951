"""The audience of a process that serves no clients: it writes a line for each command that ends here."""

from collections.abc import Mapping, Sequence

import structlog

from schema.commands.payloads import Outcome
from schema.commands.verdicts import Verdict
from schema.ids import CommandId

log = structlog.get_logger("commands")


class LogAudience:
    """`Audience` for the activities of a worker."""

    def holds(self, request: CommandId) -> bool:
        return False

    def begun(self, verdicts: Mapping[CommandId, Verdict]) -> None:
        pass

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            log.info("command", command_id=outcome.id, outcome=outcome.status.value, code=outcome.code)
