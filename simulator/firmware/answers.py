"""What a radio sends back about a packet that came for it: acknowledgements and refusals.

Pure decisions; the packets lack their sender and id, which `core` adds. Source: firmware `ReliableRouter` and
`RoutingModule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from simulator.firmware.relaying import response_hop_limit
from simulator.firmware.settings import KnownNode
from simulator.packet import ROUTING_PORT, TEXT_PORT, Packet, Priority, RoutingError, routing_error, routing_payload

__all__ = ["acknowledgement", "is_no_response", "report", "routing_reply"]


def routing_reply(
    packet: Packet, hop_limit: int, *, want_ack: bool = False, error: RoutingError = RoutingError.NONE
) -> Packet:
    """A word on `packet` to its sender: that it came, or what is wrong with it."""
    return Packet(
        0,
        packet.sender,
        0,
        ROUTING_PORT,
        routing_payload(error),
        want_ack=want_ack,
        hop_limit=hop_limit,
        request_id=packet.packet_id,
        priority=Priority.ACK,
        channel=packet.channel,
    )


def report(packet: Packet, own_number: int, packet_id: int, error: RoutingError) -> Packet:
    """What the radio tells its client of the client's own packet, as if from itself."""
    return Packet(
        own_number,
        own_number,
        packet_id,
        ROUTING_PORT,
        routing_payload(error),
        request_id=packet.packet_id,
        priority=Priority.ACK,
    )


def acknowledgement(
    packet: Packet, own_byte: int, own_hop_limit: int, nodes: Mapping[int, KnownNode], *, readable: bool
) -> Packet | None:
    """How a packet for this radio is acknowledged; None for not at all.

    An answer is only confirmed when it came directly or by a next hop: else its sender heard it relayed. Where nobody
    wants an acknowledgement, a relay that was told to aim at this radio gets one, over no hop, to stop its tries.
    """
    hop_limit = response_hop_limit(packet, own_hop_limit)
    if not packet.want_ack:
        aimed_at_us = packet.next_hop == own_byte and packet.hop_limit > 0
        return routing_reply(packet, 0) if aimed_at_us else None
    if not readable:
        sender = nodes.get(packet.sender)
        unknown_key = packet.pkc and not (sender and sender.public_key)
        error = RoutingError.PKI_UNKNOWN_PUBKEY if unknown_key else RoutingError.NO_CHANNEL
        return routing_reply(replace(packet, channel=0), hop_limit, error=error)
    if packet.port == TEXT_PORT:
        return routing_reply(packet, hop_limit, want_ack=True)
    if not (packet.request_id or packet.reply_id):
        return routing_reply(packet, hop_limit)
    return routing_reply(packet, 0) if not packet.hops_away or packet.next_hop else None


def is_no_response(packet: Packet) -> bool:
    """Whether a packet only says that nobody answers."""
    return packet.port == ROUTING_PORT and routing_error(packet.payload) == RoutingError.NO_RESPONSE
