"""How often a radio takes packets of a kind from its client: texts every 2 s, traceroutes every 30 s.

Source: firmware `PhoneAPI::handleToRadioPacket`; traces of 2.8.0 show texts at 0.5 s spacing: two of eight went out.
"""

from __future__ import annotations

from enum import Enum, auto

from simulator.packet import BROADCAST, POSITION_PORT, TELEMETRY_PORT, TEXT_PORT, TRACEROUTE_PORT, Packet

__all__ = ["ClientLimits", "Limit"]

_WAYPOINT_PORT, _ALERT_PORT = 8, 11
_SPACING_S = {
    TEXT_PORT: 2.0,
    POSITION_PORT: 10.0,
    _WAYPOINT_PORT: 10.0,
    _ALERT_PORT: 10.0,
    TELEMETRY_PORT: 10.0,
    TRACEROUTE_PORT: 30.0,
}


class Limit(Enum):
    """What becomes of a client's packet."""

    PASSED = auto()
    REFUSED = auto()
    """Dropped, with a refusal that goes astray."""
    DROPPED = auto()
    """Dropped without a word."""


class ClientLimits:
    """What one radio remembers of its clients."""

    def __init__(self) -> None:
        self._taken_s: dict[int, float] = {}
        """Port -> when the last packet on it was taken."""

    def verdict(self, packet: Packet, now_s: float) -> Limit:
        """Whether a packet is taken now."""
        if packet.port == TRACEROUTE_PORT and packet.to == BROADCAST and packet.hop_limit:
            return Limit.DROPPED
        taken_s = self._taken_s.get(packet.port)
        if taken_s is not None and now_s - taken_s < _SPACING_S.get(packet.port, 0.0):
            return Limit.REFUSED if packet.port == TEXT_PORT else Limit.DROPPED
        self._taken_s[packet.port] = now_s
        return Limit.PASSED
