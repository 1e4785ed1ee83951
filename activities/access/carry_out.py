"""`carry_out`: an act that enough people have said yes to is done, once, through the route that it was asked for at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from temporalio import activity

from schema.faults import areach


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """How the approval stands now. `code` and `message`: what its route has refused it with."""

    state: str
    code: str | None = None
    message: str | None = None


class ApprovedActs(Protocol):
    """Does what an approval is about, where it is agreed to and not done. Doing it again is harmless: its row says `done` from the
    transaction on that does it."""

    async def __call__(self, approval: int, /) -> CarriedOut: ...


class CarryOut:
    def __init__(self, acts: ApprovedActs) -> None:
        self._acts = acts

    @activity.defn(name="carry_out")
    async def carry_out(self, approval: int) -> CarriedOut:
        done = await self._acts(approval)
        await areach("approval.done")
        return done
