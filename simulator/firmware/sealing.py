"""Who can read a packet: what a radio closes it with before it leaves, and whether another radio opens it.

Pure decisions from the firmware's `Router::perhapsEncode` and `perhapsDecode`; nothing is really encrypted, the packet
says which key would open it. Knows neither queues nor relays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from protocol.airtime import Preset
from simulator.channels import channel_hash, shown_name
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import (
    BROADCAST,
    MAX_PHY_BYTES,
    NODEINFO_PORT,
    POSITION_PORT,
    ROUTING_PORT,
    TEXT_PORT,
    TRACEROUTE_PORT,
    Cipher,
    Packet,
    RoutingError,
)

__all__ = ["Identity", "Reading", "close", "open_packet"]

_NEVER_SEALED_PORTS = frozenset((TRACEROUTE_PORT, NODEINFO_PORT, ROUTING_PORT, POSITION_PORT))
_NEVER_SEALED_CHANNELS = frozenset(("serial", "gpio"))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a radio is."""

    number: int
    public_key: bytes
    """Empty for a radio without a key pair."""

    @property
    def last_byte(self) -> int:
        """What stands for it in the header of packets that it relays."""
        return self.number & 0xFF


class Reading(Enum):
    """What a radio makes of a packet from the air."""

    READ = auto()
    """It can read it."""
    OPAQUE = auto()
    """It knows no channel or key for it."""
    REFUSED = auto()
    """It should be able to, and can't or won't."""


def close(
    packet: Packet, own: Identity, settings: RadioSettings, preset: Preset, nodes: Mapping[int, KnownNode]
) -> Packet | RoutingError:
    """Close one of our own packets, or say why it can't leave.

    A packet for one receiver is sealed with its key, except on the ports and channels that the firmware exempts and in
    licensed mode; without that key it does not leave.
    """
    packet = replace(packet, ok_to_mqtt=settings.ok_to_mqtt, cipher=None)
    if packet.phy_bytes > MAX_PHY_BYTES:
        return RoutingError.TOO_LARGE
    if not 0 <= packet.channel < len(settings.channels) or not settings.channels[packet.channel].enabled:
        return RoutingError.NO_CHANNEL
    name = shown_name(settings.channels[packet.channel], preset)
    if (
        own.public_key
        and not settings.licensed
        and packet.to != BROADCAST
        and packet.port not in _NEVER_SEALED_PORTS
        and name.lower() not in _NEVER_SEALED_CHANNELS
    ):
        receiver = nodes.get(packet.to)
        sealed = replace(packet, cipher=Cipher(0, receiver.public_key if receiver else b"", own.public_key))
        if sealed.phy_bytes > MAX_PHY_BYTES:
            return RoutingError.TOO_LARGE
        return sealed if receiver and receiver.public_key else RoutingError.PKI_SEND_FAIL_PUBLIC_KEY
    key = settings.key_of(packet.channel)
    closed = replace(packet, cipher=Cipher(channel_hash(name, key), key))
    signed = replace(closed, signed=settings.signs and bool(own.public_key) and packet.to == BROADCAST)
    return signed if signed.phy_bytes <= MAX_PHY_BYTES else closed


def open_packet(
    packet: Packet, own: Identity, settings: RadioSettings, preset: Preset, nodes: Mapping[int, KnownNode]
) -> tuple[Reading, Packet]:
    """Try to read a packet from the air; what was read carries our own channel's index.

    A text for us alone that came on a channel is refused: anybody on the channel could have forged it.
    """
    sender = nodes.get(packet.sender)
    if settings.mode == "KNOWN_ONLY" and packet.sender != own.number and not (sender and sender.has_user):
        return Reading.REFUSED, packet
    cipher = packet.cipher
    assert cipher is not None, "a packet on the air is closed"
    to_us = packet.to == own.number
    tried_own_key = to_us and cipher.hash == 0 and bool(own.public_key)
    both_keys = (own.public_key, sender.public_key if sender else b"")
    if tried_own_key and cipher.pkc and (cipher.key, cipher.sender_key) == both_keys:
        return Reading.READ, replace(packet, channel=0)
    matched = False
    for index, channel in enumerate(settings.channels):
        key = settings.key_of(index)
        if not channel.enabled or channel_hash(shown_name(channel, preset), key) != cipher.hash:
            continue
        matched = True
        if key == cipher.key and not cipher.pkc:
            if to_us and own.public_key and not settings.licensed and packet.port == TEXT_PORT:
                return Reading.REFUSED, packet
            return Reading.READ, replace(packet, channel=index)
    return (Reading.REFUSED if matched or tried_own_key else Reading.OPAQUE), packet
