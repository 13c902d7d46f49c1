"""Who is there: the beacons heard, how old they are, and whether they may still be believed.

Freshness is judged by local arrival time and the beacon's own validity, never by a clock that travelled.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import limits
from protocol.messages import Beacon, ModelOffer
from protocol.version import common_version

__all__ = ["Peer", "PeerTable"]

_PLACE_KEPT_S = 60.0
"""Whoever is so late has lost the place kept for him, and looks at beacons again."""
_REMEMBER = 20
"""A peer is listed, as not fresh, for this many times its beacon's validity."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A node as its last beacon described it."""

    address: str
    beacon: Beacon
    hops: int
    """Transmissions along the path, 0 when unknown."""
    heard_at: float
    """Local time of arrival, seconds."""

    def fresh(self, now: float) -> bool:
        """Whether its beacon may still be believed."""
        return now - self.heard_at <= self.beacon.valid_s

    def backlog_s(self, now: float) -> float:
        """Seconds until a new question would start there, counting down since the beacon."""
        return max(0.0, self.beacon.backlog_s - (now - self.heard_at))

    def offer(self, model: str) -> ModelOffer | None:
        """Its offer of `model`, or its first when `model` is empty."""
        return next((offer for offer in self.beacon.models if model in ("", offer.name)), None)


class PeerTable:
    """The peers heard of late, bounded."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._asked_for: dict[str, float] = {}
        """When a busy peer wants to be asked again."""

    def heard(self, address: str, beacon: Beacon, hops: int, now: float) -> bool:
        """Take a beacon; returns False, and forgets the peer, when its node speaks no version of ours."""
        self._peers.pop(address, None)
        if common_version(beacon.version_min, beacon.version_max) is None:
            return False
        self._peers[address] = Peer(address, beacon, hops, now)
        self._tidy(now)
        return True

    def busy(self, address: str, until: float) -> None:
        """Note that a peer wants to be asked again at that time, and keeps a place until then."""
        self._asked_for[address] = until

    def ask_wait_s(self, peer: Peer, deadline_s: float, now: float) -> float:
        """Seconds until it makes sense to put a question with this deadline to `peer`."""
        asked_for = self._asked_for.get(peer.address)
        if asked_for is not None and now < asked_for + _PLACE_KEPT_S:
            return max(0.0, asked_for - now)
        return max(0.0, peer.backlog_s(now) - deadline_s)

    def lost(self, address: str) -> None:
        """Believe a peer's beacon no longer, because it did not answer."""
        self._peers.pop(address, None)

    def fresh(self, now: float) -> tuple[Peer, ...]:
        """The peers whose beacons may be believed, the newest last."""
        return tuple(peer for peer in self._peers.values() if peer.fresh(now))

    def all(self, now: float) -> tuple[Peer, ...]:
        """Also those whose beacon is too old, for a list."""
        self._tidy(now)
        return tuple(self._peers.values())

    def _tidy(self, now: float) -> None:
        for address, peer in list(self._peers.items()):
            if now - peer.heard_at > _REMEMBER * max(1, peer.beacon.valid_s):
                del self._peers[address]
        while len(self._peers) > limits.PEERS_MAX:
            del self._peers[next(iter(self._peers))]
        self._asked_for = {
            address: at
            for address, at in self._asked_for.items()
            if address in self._peers and now < at + _PLACE_KEPT_S
        }
