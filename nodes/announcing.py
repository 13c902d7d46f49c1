"""When a node says that it is there, and when it asks who is: beacons and Whos, seldom enough for everybody's air.

A node that works for nobody for a while says so once, where it was counted on, and then keeps silent.

Knows what a beacon costs and how many nodes announce themselves, not what stands in a beacon. One Announcer per bearer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from random import Random

import trio

from nodes.pump import Pump
from protocol import limits
from protocol.airtime import transmissions
from protocol.messages import Beacon, Who

__all__ = ["Announcer", "Plan", "plan"]

_FIRST_S = 15.0
"""The first interval: a start, or a change, is heard soon; then intervals double."""
_LAST_S, _LAST_S_MAX = 300.0, 3600.0
_BEACONS_SHARE = 0.01
"""What the beacons of all nodes here may take of the air, relays included."""
_VALIDITY = 2.5
"""A beacon is to be believed for so many intervals: one may get lost."""
_VALID_S_MIN = 900
_NEWS_SHARE = 0.1
"""What beacons and Whos that somebody provokes may take of our own share, and of our part of the shared air.

Without the latter, in a village of forty with eight that answer, beacons took eight tenths of what they could send."""
_NEWS_AT_ONCE = 4
_EVERY_S_MIN = 1.0
"""Between two of those at the least, also where they take no air, as on a LAN."""
_JITTER_S = 2.0
"""Answers to a Who are spread over this time, so that they don't meet on the air."""
_DRIFT = 0.2
"""Intervals are shortened by up to this part, drawn anew each time: nodes that start together, as after a power cut,
would else announce themselves at the same moments for ever, and on the air no beacon would survive."""
_LOAD_STEPS_S = (15, 60, 240)
"""Backlogs in between count as the same load."""
_REACHES = ((8, 4), (24, 3))
"""Up to so many nodes here, a broadcast may take so many transmissions; beyond, two."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a node announces itself among others."""

    interval_s: float
    """The longest interval between beacons."""
    reach: int
    """Transmissions that a broadcast may take on its way."""

    @property
    def valid_s(self) -> int:
        """Seconds for which a beacon may be believed."""
        return max(_VALID_S_MIN, ceil(_VALIDITY * self.interval_s))


def plan(nodes: int, beacon_airtime_s: float) -> Plan:
    """How to announce oneself where `nodes` do, this one included: the more they are, the less often and less far.

    The firmware stretches its own intervals in the same spirit (`Default::getConfiguredOrDefaultMsScaled`).
    """
    reach = next((reach for most, reach in _REACHES if nodes <= most), 2)
    interval_s = nodes * beacon_airtime_s * transmissions(reach - 1) / _BEACONS_SHARE
    return Plan(min(max(_LAST_S, interval_s), _LAST_S_MAX), reach)


class _Allowance:
    """A few at once, then one in so many seconds."""

    def __init__(self, now: float) -> None:
        self._left = float(_NEWS_AT_ONCE)
        self._at = now

    def wait_s(self, every_s: float, now: float) -> float:
        """Seconds until the next is allowed."""
        self._left, self._at = min(self._left + (now - self._at) / every_s, _NEWS_AT_ONCE), now
        return max(0.0, (1 - self._left) * every_s)

    def take(self) -> None:
        self._left -= 1


class Announcer:
    """Announces a node on one bearer."""

    def __init__(
        self, pump: Pump, beacon: Callable[[Pump, int], Beacon], rng: Random, rests: Callable[[], bool]
    ) -> None:
        """`beacon(pump, valid_s)` gives what is to be announced now; `rests` tells whether this node works for nobody.

        A beacon of a node that rests offers nothing.
        """
        self._pump = pump
        self._beacon = beacon
        self._rng = rng
        self._rests = rests
        self._wanted = trio.Event()
        self._beacons = _Allowance(trio.current_time())
        self._whos = _Allowance(trio.current_time())

    def beacon_wanted(self) -> None:
        """Somebody asked who is there."""
        self._wanted.set()

    def ask_who(self) -> None:
        """Ask who is there, unless that was done too often of late."""
        now = trio.current_time()
        if not self._whos.wait_s(self._every_s, now):
            self._whos.take()
            self._pump.reach = self._plan.reach
            self._pump.session.announce(Who())
            self._pump.wake()

    async def run(self) -> None:
        """Announce until cancelled: at once, then at intervals that double while nothing changes."""
        interval_s, counted_on = _FIRST_S, False
        while True:
            rests = self._rests()
            if rests and not counted_on:
                interval_s = _FIRST_S
                await trio.sleep(max(_FIRST_S, self._beacons.wait_s(self._every_s, trio.current_time())))
                continue
            counted_on = not rests
            beacon = self._beacon(self._pump, self._plan.valid_s)
            self._wanted = trio.Event()
            self._beacons.take()
            self._pump.reach = self._plan.reach
            self._pump.announce(beacon)
            wait_s = interval_s * self._rng.uniform(1 - _DRIFT, 1)
            has_changed = await self._until_due(trio.current_time() + wait_s, beacon)
            interval_s = _FIRST_S if has_changed else min(2 * interval_s, self._plan.interval_s)

    async def _until_due(self, due: float, last: Beacon) -> bool:
        """Wait for the next beacon's time; True when it comes early because there is something new to tell."""
        allowed_in_s = self._beacons.wait_s(self._every_s, trio.current_time())
        await trio.sleep(allowed_in_s * self._rng.uniform(1, 1 + _DRIFT))
        while (now := trio.current_time()) < due:
            if _gist(self._beacon(self._pump, last.valid_s)) != _gist(last):
                return True
            with trio.move_on_at(min(due, now + _FIRST_S)):
                await self._wanted.wait()
                await trio.sleep(self._rng.uniform(0, _JITTER_S))
                return False
        return False

    @property
    def _airtime_s(self) -> float:
        return self._pump.bearer.cost(limits.BEACON_BYTES_MAX + limits.SEAL_BYTES).airtime_s

    @property
    def _every_s(self) -> float:
        """Seconds between two of what is provoked: a part of our own share, and of our part of what all may send."""
        budget, airtime_s = self._pump.budget, self._airtime_s
        if not budget.hour_s:
            return float("inf")
        in_all_s = airtime_s * transmissions(self._plan.reach - 1)
        every_s = max(airtime_s / budget.hour_s, in_all_s / budget.shared_hour_s) * 3600 / _NEWS_SHARE
        return max(every_s, _EVERY_S_MIN)

    @property
    def _plan(self) -> Plan:
        return plan(1 + len(self._pump.peers.fresh(trio.current_time())), self._airtime_s)


def _gist(beacon: Beacon) -> object:
    """What makes a beacon worth sending early when it changes."""
    return beacon.models, sum(beacon.backlog_s >= step_s for step_s in _LOAD_STEPS_S)
