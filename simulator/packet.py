"""What flies through the virtual air: one Meshtastic packet, and how many bytes it takes there.

Plain data. It knows the size of Meshtastic's header and tags, not how a packet is sent, heard or relayed. Packets are
not encrypted inside the simulator; AES-CTR keeps the length, so the bytes counted are those of the real air.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol.airtime import data_bytes_on_air

__all__ = [
    "BROADCAST",
    "MAX_PHY_BYTES",
    "ROUTING_PORT",
    "TEXT_PORT",
    "Packet",
    "RoutingError",
]

BROADCAST = 0xFFFFFFFF
"""Meshtastic's broadcast node number."""

MAX_PHY_BYTES = 255
"""A LoRa packet holds no more, header included."""

TEXT_PORT = 1
ROUTING_PORT = 5

_FIXED32_FIELD_BYTES = 5
_BOOL_FIELD_BYTES = 2


class RoutingError(IntEnum):
    """The `Routing.Error` numbers that a virtual radio gives (Meshtastic `mesh.proto`)."""

    NONE = 0
    MAX_RETRANSMIT = 5
    TOO_LARGE = 7
    BAD_REQUEST = 32
    """In a queue status: the queue is full."""
    NOT_AUTHORIZED = 33


@dataclass(frozen=True, slots=True)
class Packet:
    """One Meshtastic data packet, as a radio holds it."""

    sender: int
    to: int
    packet_id: int
    port: int
    payload: bytes
    want_ack: bool = False
    hop_limit: int = 0
    """Relays still allowed."""
    hop_start: int = 0
    """What `hop_limit` was when the packet left its sender."""
    relay_node: int = 0
    """Last byte of the node number of the radio that sent this copy."""
    request_id: int = 0
    """The packet that this one answers or acknowledges."""
    reply_id: int = 0
    emoji: int = 0
    want_response: bool = False
    priority: int = 0
    """What the client asked for, 0 for unset; not on the air."""

    @property
    def phy_bytes(self) -> int:
        """Bytes on the air, header and the firmware's bitfield included; may exceed what the air carries."""
        fixed32 = sum(_FIXED32_FIELD_BYTES for value in (self.request_id, self.reply_id, self.emoji) if value)
        return (
            data_bytes_on_air(len(self.payload), self.port) + fixed32 + (_BOOL_FIELD_BYTES if self.want_response else 0)
        )

    @property
    def key(self) -> tuple[int, int]:
        """What tells this packet from all others, in every copy of it."""
        return self.sender, self.packet_id

    @property
    def is_direct(self) -> bool:
        """True for a copy that comes from its sender, not from a relay."""
        return self.hop_start == self.hop_limit
