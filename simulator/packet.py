"""What flies through the virtual air: one Meshtastic packet, who can read it, and how many bytes it takes there.

Plain data. It knows the size of Meshtastic's header, tags and seals, not how a packet is sent, heard or relayed.
Packets are not encrypted inside the simulator: `Cipher` says which key would open them, and the bytes counted are those
of the real air.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol.airtime import data_bytes_on_air

__all__ = [
    "ADMIN_PORT",
    "BROADCAST",
    "MAX_PHY_BYTES",
    "NODEINFO_PORT",
    "POSITION_PORT",
    "ROUTING_PORT",
    "TELEMETRY_PORT",
    "TEXT_PORT",
    "TRACEROUTE_PORT",
    "Cipher",
    "Packet",
    "Priority",
    "RoutingError",
    "routing_error",
    "routing_payload",
]

BROADCAST = 0xFFFFFFFF
"""Meshtastic's broadcast node number."""

MAX_PHY_BYTES = 255
"""A LoRa packet holds no more, header included."""

TEXT_PORT = 1
POSITION_PORT = 3
NODEINFO_PORT = 4
ROUTING_PORT = 5
ADMIN_PORT = 6
TELEMETRY_PORT = 67
TRACEROUTE_PORT = 70

_FIXED32_FIELD_BYTES = 5
_BOOL_FIELD_BYTES = 2
_PKC_BYTES = 12
"""What sealing for one receiver adds: a nonce of 4 bytes and a tag of 8 (firmware `MESHTASTIC_PKC_OVERHEAD`)."""
_SIGNATURE_BYTES = 66
"""An XEdDSA signature with its head."""


class RoutingError(IntEnum):
    """The `Routing.Error` numbers that a virtual radio gives (Meshtastic `mesh.proto`)."""

    NONE = 0
    MAX_RETRANSMIT = 5
    NO_CHANNEL = 6
    TOO_LARGE = 7
    NO_RESPONSE = 8
    DUTY_CYCLE_LIMIT = 9
    BAD_REQUEST = 32
    """In a queue status: the queue is full."""
    NOT_AUTHORIZED = 33
    PKI_FAILED = 34
    """In a queue status: the transmitter is switched off, as while no region is set (firmware `ERRNO_DISABLED`)."""
    PKI_UNKNOWN_PUBKEY = 35
    ADMIN_BAD_SESSION_KEY = 36
    RATE_LIMIT_EXCEEDED = 38
    PKI_SEND_FAIL_PUBLIC_KEY = 39


class Priority(IntEnum):
    """Places in a radio's transmit queue (`MeshPacket.Priority`)."""

    UNSET = 0
    BACKGROUND = 10
    DEFAULT = 64
    RELIABLE = 70
    RESPONSE = 80
    HIGH = 100
    ACK = 120


@dataclass(frozen=True, slots=True)
class Cipher:
    """What closes a packet on the air: whoever holds the same reads it."""

    hash: int
    """The channel hash in the packet's header; 0 when sealed for one receiver."""
    key: bytes
    """The channel's key, empty when it has none; the receiver's public key when sealed for one receiver."""
    sender_key: bytes = b""
    """The sender's public key, when sealed for one receiver; empty on a channel."""

    @property
    def pkc(self) -> bool:
        """True when sealed for one receiver with both sides' keys, so that no relay reads it."""
        return bool(self.sender_key)


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
    priority: int = Priority.UNSET
    """What the client asked for, 0 for unset; not on the air."""
    channel: int = 0
    """Index among the channels of the radio that holds it; not on the air."""
    cipher: Cipher | None = None
    """What closes it on the air; None before it left its sender."""
    via_mqtt: bool = False
    """Whether it crossed the internet."""
    ok_to_mqtt: bool = False
    """Whether its sender lets gateways carry it to the internet."""
    signed: bool = False
    """Whether it carries its sender's signature."""
    next_hop: int = 0
    """Last byte of the node number of the one radio that is to pass it on; 0 for all that hear it."""

    @property
    def phy_bytes(self) -> int:
        """Bytes on the air, header and the firmware's bitfield included; may exceed what the air carries."""
        fixed32 = sum(_FIXED32_FIELD_BYTES for value in (self.request_id, self.reply_id, self.emoji) if value)
        return (
            data_bytes_on_air(len(self.payload), self.port)
            + fixed32
            + (_BOOL_FIELD_BYTES if self.want_response else 0)
            + (_PKC_BYTES if self.pkc else 0)
            + (_SIGNATURE_BYTES if self.signed else 0)
        )

    @property
    def key(self) -> tuple[int, int]:
        """What tells this packet from all others, in every copy of it."""
        return self.sender, self.packet_id

    @property
    def pkc(self) -> bool:
        """True when sealed for its receiver alone."""
        return self.cipher is not None and self.cipher.pkc

    def passed_on(self, relay_node: int, hop_limit: int) -> Packet:
        """The copy that a relay makes: the hops then left, its own last byte, and the priority its firmware gives.

        Field by field, because `dataclasses.replace` takes several times as long and each relay does this.
        """
        return Packet(
            self.sender,
            self.to,
            self.packet_id,
            self.port,
            self.payload,
            self.want_ack,
            hop_limit,
            self.hop_start,
            relay_node,
            self.request_id,
            self.reply_id,
            self.emoji,
            self.want_response,
            Priority.UNSET,
            self.channel,
            self.cipher,
            self.via_mqtt,
            self.ok_to_mqtt,
            self.signed,
            self.next_hop,
        )

    @property
    def hops_away(self) -> int:
        """Relays between its sender and whoever hears this copy."""
        return self.hop_start - self.hop_limit


def routing_payload(error: int) -> bytes:
    """Encode Meshtastic's `Routing {error_reason}`, whose success is written out too."""
    return bytes((0x18, error))


def routing_error(payload: bytes) -> int:
    """What a ROUTING_APP packet with this payload reports: 0 for success."""
    return payload[1] if len(payload) == 2 and payload[0] == 0x18 else 0
