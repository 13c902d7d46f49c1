"""A radio's transmit queue: sixteen places, by priority, and what may push what out.

Source: firmware `MeshPacketQueue.cpp`. Knows no time of its own and no air.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from simulator.packet import ADMIN_PORT, ROUTING_PORT, TEXT_PORT, Packet, Priority

__all__ = ["QUEUE_PLACES", "Queued", "TransmitQueue", "priority_of"]

QUEUE_PLACES = 16


@dataclass(frozen=True, slots=True)
class Queued:
    """A packet that waits for the channel."""

    packet: Packet
    priority: int
    snr_db: float | None
    """How a relayed packet was heard; None for one of our own."""
    not_before_s: float = 0.0
    """When a ROUTER_LATE may send it at the earliest; 0 for any time."""

    @property
    def place(self) -> tuple[bool, int, bool]:
        """What decides its place: late ones last, then priority, then those already on the mesh first."""
        return self.not_before_s > 0, -self.priority, self.snr_db is None


class TransmitQueue:
    """Packets waiting for the channel, the next one first."""

    def __init__(self) -> None:
        self._waiting: list[Queued] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def free_places(self) -> int:
        """Places left."""
        return QUEUE_PLACES - len(self._waiting)

    @property
    def front(self) -> Queued | None:
        """The next one to leave."""
        return self._waiting[0] if self._waiting else None

    def add(self, queued: Queued) -> bool:
        """Take a packet; when full, only in the place of a less important last one. False when there is none."""
        if not self.free_places:
            if self._waiting[-1].priority >= queued.priority:
                return False
            self._waiting.pop()
        insort(self._waiting, queued, key=lambda waiting: waiting.place)
        return True

    def pop(self) -> Queued:
        """Take the next one out."""
        return self._waiting.pop(0)

    def find(self, key: tuple[int, int]) -> Queued | None:
        """The first waiting copy of a packet."""
        return next((waiting for waiting in self._waiting if waiting.packet.key == key), None)

    def remove(self, queued: Queued) -> None:
        """Forget a waiting packet."""
        self._waiting.remove(queued)


def priority_of(packet: Packet, *, readable: bool = True) -> int:
    """The priority in the queue: what the client asked for, else what the firmware gives (`fixPriority`)."""
    if packet.priority:
        return packet.priority
    if readable:
        if packet.port == ROUTING_PORT:
            return Priority.ACK
        if packet.port in (TEXT_PORT, ADMIN_PORT):
            return Priority.HIGH
        if packet.request_id:
            return Priority.RESPONSE
        if packet.want_response:
            return Priority.RELIABLE
    return Priority.RELIABLE if packet.want_ack else Priority.DEFAULT
