"""Which packets a radio has met lately, so that it takes each of them once.

Source: firmware `PacketHistory.cpp`. Bounded in time and number.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.packet import Packet

__all__ = ["PacketHistory"]

_KEPT_S = 600.0
_PACKETS_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Met:
    time_s: float
    hop_limit: int
    """The highest of any copy."""


class PacketHistory:
    """The packets of the last ten minutes."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, int], _Met] = {}

    def note(self, packet: Packet, now_s: float) -> int | None:
        """Note a copy; returns the highest hop limit the packet was met with before, None if it was not."""
        known = self._met.pop(packet.key, None)
        if known is not None and now_s - known.time_s > _KEPT_S:
            known = None
        self._met[packet.key] = _Met(now_s, max(packet.hop_limit, known.hop_limit if known else 0))
        while len(self._met) > _PACKETS_MAX:
            del self._met[next(iter(self._met))]
        return known.hop_limit if known else None
