"""Next-hop routing: which neighbour a direct message is aimed at, and how that was learned.

Pure rules and two small memories of one radio; it knows no queue, no timer and no air, and nothing of broadcasts, which
never come here. Source: firmware `NextHopRouter`, `PacketHistory` and `NodeDB::resolveLastByte`, 2.8.0 and, where it
differs, 2.7.26. Routes are forgotten at a restart, where a real radio keeps them in its node database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.firmware.settings import KnownNode
from simulator.packet import Packet

__all__ = [
    "FAILURES_MAX",
    "NEIGHBOUR_FRESH_S",
    "ROUTER_ROLES",
    "ROUTE_KEPT_S",
    "Again",
    "Passages",
    "Routes",
    "last_byte",
    "passes_on",
    "resolve",
]

ROUTE_KEPT_S = 1800.0
"""A route that nothing confirmed for so long is not trusted any more (`ROUTE_TTL_MSEC`)."""
FAILURES_MAX = 3
"""Nor one along which so many messages in a row came to their last try (`ROUTE_FAILURE_THRESHOLD`)."""
NEIGHBOUR_FRESH_S = 7200.0
"""A neighbour not heard for so long is no next hop (`NEXTHOP_NEIGHBOR_FRESH_SECS`)."""

ROUTER_ROLES = ("ROUTER", "ROUTER_LATE", "CLIENT_BASE")
_RELAYERS_MAX = 6
_PASSAGES_MAX = 1024
_PASSAGE_KEPT_S = 600.0
_ROUTES_MAX = 250


def last_byte(number: int) -> int:
    """What stands for a node in a packet's header, where 0 means nobody."""
    return number & 0xFF or 0xFF


def passes_on(packet: Packet, own_byte: int) -> bool:
    """Whether a packet that a radio could relay is for it to relay: it floods, or names this radio."""
    return packet.next_hop in (0, own_byte)


def resolve(
    byte: int, nodes: Mapping[int, KnownNode], own_number: int, now_s: float, *, only_neighbours: bool
) -> int | None:
    """The one node that a last byte can mean; None when there is none, or more than one.

    Candidates are direct neighbours. With `only_neighbours` they must have been heard lately; without it, routers and
    favourites count wherever they are.
    """
    found: int | None = None
    for number, node in nodes.items():
        if last_byte(number) != byte or number == own_number:
            continue
        if only_neighbours:
            fresh = node.heard_s is not None and now_s - node.heard_s < NEIGHBOUR_FRESH_S
            candidate = not node.hops_away and fresh
        else:
            candidate = not node.hops_away or node.favourite or node.role in ROUTER_ROLES
        if candidate:
            if found is not None:
                return None
            found = number
    return found


@dataclass(frozen=True, slots=True)
class Again:
    """What a radio makes of a direct packet that it met before."""

    falls_back: bool
    """It was aimed at another relay, which did not pass it on, and now floods."""
    was_asked: bool
    """The first copy met was aimed at this radio."""


@dataclass(slots=True)
class _Passage:
    time_s: float
    asked: int
    """Next hop of the first copy met; 0 for a flood or a packet of our own."""
    own_hop_limit: int
    """Hop limit with which we sent it on."""
    relayers: tuple[int, ...]
    """Last bytes of those known to have passed it on, ourselves among them; the latest first."""


class Passages:
    """Who passed on the direct packets of the last ten minutes, as far as one radio noticed."""

    def __init__(self, own_byte: int) -> None:
        self._own_byte = own_byte
        self._passages: dict[tuple[int, int], _Passage] = {}

    def note(self, packet: Packet, now_s: float) -> Again | None:
        """Note a copy heard or queued, as its header says; None when it was never met.

        Another relay counts only when it shows that it heard us: its copy has as many hops left as ours, or one less.
        """
        by, key = packet.relay_node, packet.key
        known = self._passages.pop(key, None)
        if known is not None and now_s - known.time_s > _PASSAGE_KEPT_S:
            known = None
        if known is None:
            ours = by == self._own_byte
            own_hop_limit, relayers = (packet.hop_limit, (by,)) if ours else (0, ())
            self._passages[key] = _Passage(now_s, packet.next_hop, own_hop_limit, relayers)
            while len(self._passages) > _PASSAGES_MAX:
                del self._passages[next(iter(self._passages))]
            return None
        again = Again(self._falls_back(packet, known), known.asked == self._own_byte)
        known.time_s = now_s
        if by == self._own_byte:
            known.own_hop_limit = packet.hop_limit
            self._add(known, by)
        elif self._own_byte in known.relayers and known.own_hop_limit - packet.hop_limit in (0, 1):
            self._add(known, by)
        self._passages[key] = known
        return again

    def withdraw(self, key: tuple[int, int]) -> None:
        """Our copy left the queue unsent: we did not pass it on after all."""
        if passage := self._passages.get(key):
            passage.relayers = tuple(by for by in passage.relayers if by != self._own_byte)

    def proves(self, answer: Packet) -> bool:
        """Whether an answer or acknowledgement shows the way to its sender: through whoever sent this copy of it.

        It does when that relay also passed on what it answers, which we did too, or when we were the only one who did
        and the answer came straight from its sender.
        """
        passage = self._passages.get((answer.to, answer.request_id))
        if passage is None or self._own_byte not in passage.relayers:
            return False
        return answer.relay_node in passage.relayers or (not answer.hops_away and len(passage.relayers) == 1)

    def _falls_back(self, packet: Packet, known: _Passage) -> bool:
        return (
            known.asked not in (0, self._own_byte)
            and not packet.next_hop
            and packet.relay_node in known.relayers
            and self._own_byte not in known.relayers
            and known.asked not in known.relayers
        )

    @staticmethod
    def _add(passage: _Passage, by: int) -> None:
        others = (relayer for relayer in passage.relayers if relayer != by)
        passage.relayers = (by, *others)[:_RELAYERS_MAX]


@dataclass(slots=True)
class _Route:
    hop: int
    """Last byte of the neighbour to aim at; 0 when dropped after a failure."""
    taught: int
    """The hop last learned: learning the same one again does not excuse its failures."""
    confirmed_s: float
    failures: int = 0


class Routes:
    """The next hops that one radio has learned."""

    def __init__(self, own_number: int, nodes: Mapping[int, KnownNode], *, checked: bool) -> None:
        """`checked` is what 2.8 added: bytes that could mean two nodes are not used, and routes age and fail."""
        self._own_number = own_number
        self._own_byte = last_byte(own_number)
        self._nodes = nodes
        self._checked = checked
        self._routes: dict[int, _Route] = {}

    def learn(self, to: int, hop: int, now_s: float) -> bool:
        """An answer proved that `hop`, a last byte, leads to node `to`. True when that will be used."""
        if to not in self._nodes or not hop:
            return False
        if self._checked and resolve(hop, self._nodes, self._own_number, now_s, only_neighbours=False) is None:
            return False
        known = self._routes.pop(to, None)
        failures = known.failures if known and known.taught == hop else 0
        self._routes[to] = _Route(hop, hop, now_s, failures)
        while len(self._routes) > _ROUTES_MAX:
            del self._routes[next(iter(self._routes))]
        return True

    def confirm(self, to: int, now_s: float) -> None:
        """An acknowledgement came all the way back from `to`."""
        if known := self._routes.get(to):
            known.confirmed_s, known.failures = now_s, 0

    def give_up(self, to: int) -> None:
        """A direct message to `to` comes to its last try: forget the hop and flood."""
        if known := self._routes.get(to):
            known.hop = 0
            known.failures += 1

    def next_hop(self, to: int, now_s: float) -> int:
        """The last byte to aim a packet for `to` at; 0 to flood."""
        known = self._routes.get(to)
        if known is None or not known.hop:
            return 0
        if self._checked:
            if known.failures >= FAILURES_MAX or now_s - known.confirmed_s >= ROUTE_KEPT_S:
                del self._routes[to]
                return 0
            if resolve(known.hop, self._nodes, self._own_number, now_s, only_neighbours=True) is None:
                return 0
        return known.hop if known.hop != self._own_byte else 0
