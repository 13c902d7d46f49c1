"""Who sends next: one at a time, as the airtime budget allows, and first whoever has had the least air of late.

Knows no bearer and no message. What waits does so here and nowhere else, so that a text for a phone and an answer for
a node are weighed against each other.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import trio

from nodes.trace import Trace
from protocol import limits
from protocol.budget import AirtimeBudget, Limit

__all__ = ["Claim", "Shares", "Turns"]

_HALF_LIFE_S = 1200.0
"""After this time, what somebody had counts half."""
_SPREAD_S, _SPREAD_LATE_S = 10.0, 50.0
"""When the channel is free again, replies are spread over the first time, all else until the second: a reply that was
held back may make a repeated question needless."""


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


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's wish to send."""

    asker: str
    """For whom: an address; empty for this node itself."""
    airtime_s: float
    transmissions: float = 1.0
    """How often it goes on the air, relays included."""
    run_up_s: float = 0.0
    """The part of the air that is used before the last packet leaves."""
    begun: bool = False
    """Whether it continues what has begun to leave."""
    bulk: bool = True
    """Whether it can wait: replies and questions go first, and may use the reserve kept for them."""
    reply: bool = False
    """Whether somebody waits for it who would ask again."""


class Turns:
    """Hands out turns on the air of one bearer."""

    def __init__(self, budget: AirtimeBudget, shares: Shares, rng: Random, trace: Trace) -> None:
        self._rng = rng
        self._was_busy = False
        self._replies_from, self._others_from = 0.0, 0.0
        self._budget = budget
        self._shares = shares
        self._trace = trace
        self._waiting: list[Callable[[], Claim | None]] = []
        self._sending = False
        self._changed = trio.lowlevel.ParkingLot()

    def look_again(self) -> None:
        """A claim, or what the budget allows, may be another than before."""
        self._changed.unpark_all()

    @asynccontextmanager
    async def turn(self, claim: Callable[[], Claim | None]) -> AsyncIterator[None]:
        """Wait for the turn of what `claim` gives then, and hold it; None stands for nothing to send."""
        self._waiting.append(claim)
        try:
            await self._until_due(claim)
            self._sending = True
        finally:
            self._waiting.remove(claim)
        try:
            yield
        finally:
            self._sending = False
            self.look_again()

    async def _until_due(self, claim: Callable[[], Claim | None]) -> None:
        told: Claim | None = None
        while True:
            wait_s, now = float("inf"), trio.current_time()
            if not self._sending and self._first(now) is claim and (wanted := claim()) is not None:
                wait_s = self._wait_s(wanted, now) or self._spread_s(wanted, now)
                if not wait_s:
                    return
                if wanted != told:
                    told = wanted
                    self._trace.note("airtime.waiting", wait_s=round(wait_s, 1), why=self._budget.words(now))
            with trio.move_on_after(wait_s):
                await self._changed.park()

    def _first(self, now: float) -> Callable[[], Claim | None] | None:
        """Whose turn it is: what has begun, else what is short, else who had least.

        What may never leave stands in nobody's way.
        """
        possible = [
            (not wanted.begun, wanted.bulk, self._shares.had_s(wanted.asker, now), number)
            for number, claim in enumerate(self._waiting)
            if (wanted := claim()) is not None and self._wait_s(wanted, now) < float("inf")
        ]
        return self._waiting[min(possible)[-1]] if possible else None

    def _wait_s(self, claim: Claim, now: float) -> float:
        hindrance = self._budget.hindrance(
            claim.airtime_s,
            now,
            transmissions=claim.transmissions,
            run_up_s=claim.run_up_s,
            begun=claim.begun,
            bulk=claim.bulk,
        )
        self._was_busy |= hindrance is not None and hindrance.limit is Limit.BUSY
        return hindrance.wait_s if hindrance else 0.0

    def _spread_s(self, claim: Claim, now: float) -> float:
        """After a busy channel wait a little more: all nodes heard that figure and would begin at once."""
        if self._was_busy:
            self._was_busy = False
            self._replies_from = now + self._rng.uniform(0, _SPREAD_S)
            self._others_from = now + self._rng.uniform(_SPREAD_S, _SPREAD_LATE_S)
        if claim.begun:
            return 0.0
        return max(0.0, (self._replies_from if claim.reply else self._others_from) - now)
