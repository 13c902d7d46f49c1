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
from simulator.firmware.nexthop import last_byte
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

__all__ = ["Identity", "Keyring", "Reading"]

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
        return last_byte(self.number)


class Reading(Enum):
    """What a radio makes of a packet from the air."""

    READ = auto()
    """It can read it."""
    OPAQUE = auto()
    """It knows no channel or key for it."""
    REFUSED = auto()
    """It should be able to, and can't or won't."""


class Keyring:
    """What one radio closes its packets with and opens others' with: its channels, its key pair, and who it knows.

    Made anew whenever the radio's settings change.
    """

    def __init__(self, own: Identity, settings: RadioSettings, preset: Preset, nodes: Mapping[int, KnownNode]) -> None:
        self._own = own
        self._settings = settings
        self._nodes = nodes
        self._known_only = settings.mode == "KNOWN_ONLY"
        self._ciphers: dict[int, Cipher] = {}
        """Index of a channel in use -> what closes a packet on it."""
        self._unsealed = {
            index
            for index, channel in enumerate(settings.channels)
            if shown_name(channel, preset).lower() in _NEVER_SEALED_CHANNELS
        }
        for index, channel in enumerate(settings.channels):
            if channel.enabled:
                key = settings.key_of(index)
                self._ciphers[index] = Cipher(channel_hash(shown_name(channel, preset), key), key)
        self._index_of = {cipher: index for index, cipher in reversed(self._ciphers.items())}
        self._hashes = {cipher.hash for cipher in self._ciphers.values()}

    def close(self, packet: Packet) -> Packet | RoutingError:
        """Close one of our own packets, or say why it can't leave.

        A packet for one receiver is sealed with its key, except on the ports and channels that the firmware exempts and
        in licensed mode; without that key it does not leave.
        """
        settings = self._settings
        packet = replace(packet, ok_to_mqtt=settings.ok_to_mqtt, cipher=None)
        if packet.phy_bytes > MAX_PHY_BYTES:
            return RoutingError.TOO_LARGE
        cipher = self._ciphers.get(packet.channel)
        if cipher is None:
            return RoutingError.NO_CHANNEL
        if (
            self._own.public_key
            and not settings.licensed
            and packet.to != BROADCAST
            and packet.port not in _NEVER_SEALED_PORTS
            and packet.channel not in self._unsealed
        ):
            receiver = self._nodes.get(packet.to)
            sealed = replace(packet, cipher=Cipher(0, receiver.public_key if receiver else b"", self._own.public_key))
            if sealed.phy_bytes > MAX_PHY_BYTES:
                return RoutingError.TOO_LARGE
            return sealed if receiver and receiver.public_key else RoutingError.PKI_SEND_FAIL_PUBLIC_KEY
        closed = replace(packet, cipher=cipher)
        if settings.signs and self._own.public_key and packet.to == BROADCAST:
            signed = replace(closed, signed=True)
            if signed.phy_bytes <= MAX_PHY_BYTES:
                return signed
        return closed

    def open(self, packet: Packet) -> tuple[Reading, Packet]:
        """Try to read a packet from the air; what was read carries our own channel's index.

        A text for us alone that came on a channel is refused: anybody on the channel could have forged it.
        """
        own, cipher = self._own, packet.cipher
        assert cipher is not None, "a packet on the air is closed"
        if self._known_only and packet.sender != own.number:
            sender = self._nodes.get(packet.sender)
            if not (sender and sender.has_user):
                return Reading.REFUSED, packet
        to_us = packet.to == own.number
        tried_own_key = to_us and cipher.hash == 0 and bool(own.public_key)
        if tried_own_key and cipher.pkc:
            sender = self._nodes.get(packet.sender)
            if (cipher.key, cipher.sender_key) == (own.public_key, sender.public_key if sender else b""):
                return Reading.READ, _on_channel(packet, 0)
        index = self._index_of.get(cipher)
        if index is None:
            return (Reading.REFUSED if cipher.hash in self._hashes or tried_own_key else Reading.OPAQUE), packet
        if to_us and own.public_key and not self._settings.licensed and packet.port == TEXT_PORT:
            return Reading.REFUSED, packet
        return Reading.READ, _on_channel(packet, index)


def _on_channel(packet: Packet, index: int) -> Packet:
    return packet if packet.channel == index else replace(packet, channel=index)
