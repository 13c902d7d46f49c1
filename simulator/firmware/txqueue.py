"""A radio's transmit queue: sixteen places, by priority, and what may push what out.

Source: firmware `MeshPacketQueue.cpp`. Knows no time of its own and no air.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace

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
    is_cancelled: bool = False
    """Whether it only waits for its turn to be dropped, as in Meshtasticator."""

    @property
    def place(self) -> tuple[bool, int, bool]:
        """What decides its place: late ones last, then priority, then those already on the mesh first."""
        return self.not_before_s > 0, -self.priority, self.snr_db is None


class TransmitQueue:
    """Packets waiting for the channel, the next one first."""

    def __init__(self, *, in_turn: bool = False) -> None:
        """`in_turn`: without end and in the order in which packets came; cancelled ones keep their turn."""
        self._waiting: list[Queued] = []
        self._in_turn = in_turn

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def free_places(self) -> int:
        """Places left."""
        return max(QUEUE_PLACES - len(self._waiting), 0)

    @property
    def front(self) -> Queued | None:
        """The next one to leave."""
        return self._waiting[0] if self._waiting else None

    def add(self, queued: Queued) -> bool:
        """Take a packet; when full, only in the place of a less important last one. False when there is none."""
        if self._in_turn:
            self._waiting.append(queued)
            return True
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
        sender, packet_id = key
        for one in self._waiting:
            if one.packet.packet_id == packet_id and one.packet.sender == sender and not one.is_cancelled:
                return one
        return None

    def remove(self, queued: Queued) -> None:
        """Forget a waiting packet, when its turn comes at the latest."""
        if self._in_turn:
            self._waiting[self._place_of(queued)] = replace(queued, is_cancelled=True)
        else:
            del self._waiting[self._place_of(queued)]

    def _place_of(self, queued: Queued) -> int:
        return next(place for place, one in enumerate(self._waiting) if one is queued)


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
