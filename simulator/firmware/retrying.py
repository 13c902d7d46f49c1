"""Packets that want to be heard of again: their tries, and what happens when nothing was heard after the last one.

Source: firmware `ReliableRouter`, `NextHopRouter::doRetransmissions`. Knows no queue: sending again and giving up are
the firmware's. Traces of 2.8.0 show tries at 0, 7.2 and 14.4 s and the end at 21.4 s on LONG_FAST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.packet import Packet

if TYPE_CHECKING:
    from simulator.medium import Timer

__all__ = ["RELAY_TRIES", "Pending", "Retries"]

RELAY_TRIES = 2
"""How often a packet is sent that was aimed at a next hop without that (`NUM_INTERMEDIATE_RETX`)."""


@dataclass(slots=True)
class Pending:
    """A packet whose next relay, or whose acknowledgement, is not heard yet."""

    packet: Packet
    snr_db: float | None
    """How it was heard; None for one of our own."""
    tries_left: int
    deadline_s: float
    timer: Timer


class Retries:
    """What one radio still waits to hear of."""

    def __init__(
        self,
        now_s: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Timer],
        timeout_s: Callable[[Packet], float],
        again: Callable[[Pending], None],
        given_up: Callable[[Packet], None],
    ) -> None:
        """`again` sends a packet once more, `tries_left` being what is left after that; `given_up` ends it."""
        self._now_s = now_s
        self._call_at = call_at
        self._timeout_s = timeout_s
        self._again = again
        self._given_up = given_up
        self._pending: dict[tuple[int, int], Pending] = {}

    def expect(self, packet: Packet, tries: int, snr_db: float | None = None) -> None:
        """From now on wait to hear of `packet`, which is sent for the first time now."""
        self.settle(packet.key)
        self._wait(packet, snr_db, tries - 1)

    def settle(self, key: tuple[int, int]) -> Packet | None:
        """Stop trying, and return the packet; None when it was not waited for."""
        pending = self._pending.pop(key, None)
        if pending is None:
            return None
        pending.timer.cancel()
        return pending.packet

    def lengthen(self, airtime_s: float, *, but: int = 0) -> None:
        """While the channel carried something else, nothing could be heard; `but` is the id of what it carried."""
        for (_, packet_id), pending in self._pending.items():
            if packet_id != but:
                pending.deadline_s += airtime_s

    def stop(self) -> None:
        """Forget everything."""
        for pending in self._pending.values():
            pending.timer.cancel()
        self._pending.clear()

    def _wait(self, packet: Packet, snr_db: float | None, tries_left: int) -> Pending:
        deadline_s = self._now_s() + self._timeout_s(packet)
        timer = self._call_at(deadline_s, lambda: self._overdue(packet.key))
        pending = self._pending[packet.key] = Pending(packet, snr_db, tries_left, deadline_s, timer)
        return pending

    def _overdue(self, key: tuple[int, int]) -> None:
        pending = self._pending[key]
        if self._now_s() < pending.deadline_s:
            pending.timer = self._call_at(pending.deadline_s, lambda: self._overdue(key))
        elif pending.tries_left:
            self._again(self._wait(pending.packet, pending.snr_db, pending.tries_left - 1))
        else:
            del self._pending[key]
            self._given_up(pending.packet)
