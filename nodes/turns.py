"""Who sends next: one at a time, as the airtime budget allows, and first whoever has had the least air of late.

Knows no bearer and no message. What waits does so here and nowhere else, so that a text for a phone and an answer for
a node are weighed against each other.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from nodes.trace import Trace
from protocol import limits
from protocol.budget import AirtimeBudget

__all__ = ["Claim", "Shares", "Turns"]

_HALF_LIFE_S = 1200.0
"""After this time, what somebody had counts half."""


class Shares:
    """The air that each asker has had of late, in seconds: questions, answers and their relays together."""

    def __init__(self) -> None:
        self._had: dict[str, tuple[float, float]] = {}
        """Asker -> seconds of air, and when that was so; whoever had some last stands last."""

    def charge(self, asker: str, airtime_s: float, now: float) -> None:
        """Note what was sent for `asker`, or by it to us."""
        had_s = self.had_s(asker, now)
        self._had.pop(asker, None)
        self._had[asker] = (had_s + airtime_s, now)
        while len(self._had) > limits.PEERS_MAX:
            del self._had[next(iter(self._had))]

    def had_s(self, asker: str, now: float) -> float:
        """What `asker` had, the older the less."""
        airtime_s, at = self._had.get(asker, (0.0, now))
        return airtime_s * math.pow(0.5, (now - at) / _HALF_LIFE_S)


@dataclass(eq=False, frozen=True, slots=True)
class Claim:
    """Somebody's wish to send."""

    asker: str
    """For whom: an address; empty for this node itself."""
    airtime_s: float
    transmissions: float = 1.0
    """How often it goes on the air, relays included."""
    begun: bool = False
    """Whether it continues what has begun to leave."""


class Turns:
    """Hands out turns on the air of one bearer."""

    def __init__(self, budget: AirtimeBudget, shares: Shares, trace: Trace) -> None:
        self._budget = budget
        self._shares = shares
        self._trace = trace
        self._waiting: list[Claim] = []
        self._sending = False
        self._changed = trio.lowlevel.ParkingLot()

    def look_again(self) -> None:
        """The budget may allow more, or less, than before."""
        self._changed.unpark_all()

    @asynccontextmanager
    async def turn(self, claim: Claim) -> AsyncIterator[None]:
        """Wait for the turn of `claim`, and hold it."""
        self._waiting.append(claim)
        try:
            await self._until_due(claim)
        finally:
            self._waiting.remove(claim)
            self.look_again()
        self._sending = True
        try:
            yield
        finally:
            self._sending = False
            self.look_again()

    async def _until_due(self, claim: Claim) -> None:
        is_told = False
        while True:
            wait_s = float("inf")
            if not self._sending and self._first() is claim:
                now = trio.current_time()
                hindrance = self._budget.hindrance(
                    claim.airtime_s, now, transmissions=claim.transmissions, begun=claim.begun
                )
                if hindrance is None:
                    return
                wait_s = hindrance.wait_s
                if not is_told and wait_s < float("inf"):
                    is_told = True
                    self._trace.note("airtime.waiting", wait_s=round(wait_s, 1), why=self._budget.words(now))
            with trio.move_on_after(wait_s):
                await self._changed.park()

    def _first(self) -> Claim | None:
        """Whose turn it is: what has begun, else who had least; what may never leave stands in nobody's way."""
        now = trio.current_time()
        possible = [
            claim
            for claim in self._waiting
            if self._budget.wait_s(claim.airtime_s, now, transmissions=claim.transmissions, begun=claim.begun)
            < float("inf")
        ]
        return min(possible, key=lambda claim: (not claim.begun, self._shares.had_s(claim.asker, now)), default=None)
