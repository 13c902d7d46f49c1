"""Which packets a radio has met lately, so that it takes each of them once.

Source: firmware `PacketHistory.cpp`. Bounded in time and number.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.packet import Packet

__all__ = ["PacketHistory"]

_KEPT_S = 600.0
_PACKETS_MAX = 1024


@dataclass(slots=True)
class _Met:
    time_s: float
    hop_limit: int
    """The highest of any copy."""


class PacketHistory:
    """The packets of the last ten minutes."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, int], _Met] = {}
        """By the packet's key, the one met longest ago first."""

    def note(self, packet: Packet, now_s: float) -> int | None:
        """Note a copy; returns the highest hop limit the packet was met with before, None if it was not."""
        met, key = self._met, packet.key
        known = met.pop(key, None)
        if known is None or now_s - known.time_s > _KEPT_S:
            met[key] = _Met(now_s, packet.hop_limit)
            self._forget_old(now_s)
            return None
        before = known.hop_limit
        known.time_s = now_s
        known.hop_limit = max(before, packet.hop_limit)
        met[key] = known
        return before

    def _forget_old(self, now_s: float) -> None:
        while True:
            key, oldest = next(iter(self._met.items()))
            if now_s - oldest.time_s <= _KEPT_S and len(self._met) <= _PACKETS_MAX:
                return
            del self._met[key]
