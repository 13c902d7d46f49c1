"""Packets that want an acknowledgement: three tries, and a word to the client when none came.

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

__all__ = ["Retries"]

_TRIES = 3


@dataclass(slots=True)
class _Pending:
    """A packet of ours that wants an acknowledgement."""

    packet: Packet
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
        again: Callable[[Packet], None],
        given_up: Callable[[Packet], None],
    ) -> None:
        """`again` sends a packet once more, `given_up` ends it."""
        self._now_s = now_s
        self._call_at = call_at
        self._timeout_s = timeout_s
        self._again = again
        self._given_up = given_up
        self._pending: dict[int, _Pending] = {}

    def expect(self, packet: Packet) -> None:
        """From now on wait for an acknowledgement of `packet`."""
        self._wait(packet, _TRIES - 1)

    def settle(self, packet_id: int) -> Packet | None:
        """Stop trying, and return the packet; None when it was not waited for."""
        pending = self._pending.pop(packet_id, None)
        if pending is None:
            return None
        pending.timer.cancel()
        return pending.packet

    def lengthen(self, airtime_s: float, *, but: int = 0) -> None:
        """While the channel carried something else, no acknowledgement could come."""
        for packet_id, pending in self._pending.items():
            if packet_id != but:
                pending.deadline_s += airtime_s

    def stop(self) -> None:
        """Forget everything."""
        for pending in self._pending.values():
            pending.timer.cancel()
        self._pending.clear()

    def _wait(self, packet: Packet, tries_left: int) -> None:
        deadline_s = self._now_s() + self._timeout_s(packet)
        timer = self._call_at(deadline_s, lambda: self._overdue(packet.packet_id))
        self._pending[packet.packet_id] = _Pending(packet, tries_left, deadline_s, timer)

    def _overdue(self, packet_id: int) -> None:
        pending = self._pending[packet_id]
        if self._now_s() < pending.deadline_s:
            pending.timer = self._call_at(pending.deadline_s, lambda: self._overdue(packet_id))
        elif pending.tries_left:
            self._wait(pending.packet, pending.tries_left - 1)
            self._again(pending.packet)
        else:
            del self._pending[packet_id]
            self._given_up(pending.packet)
