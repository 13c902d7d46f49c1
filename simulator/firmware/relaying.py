"""Which packets a radio passes on: roles, rebroadcast modes, hop rules.

Pure rules from the firmware (`FloodingRouter`, `NextHopRouter`, `RoutingModule`), 2.8.0 and, where it
differs, 2.7.26. Knows no queue and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.firmware.nexthop import ROUTER_ROLES, resolve
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import BROADCAST, Packet

__all__ = [
    "cancels_on_duplicate",
    "ignores_port",
    "is_rebroadcaster",
    "keeps_hop_limit",
    "passes_licence",
    "puts_off_on_duplicate",
    "relays_opaque",
    "response_hop_limit",
]

_CORE_PORTS = frozenset((1, 3, 4, 5, 6, 7, 8, 11, 12, 35, 65, 67, 70))
"""Text, position, node info, routing, admin, compressed text, waypoint, alert, key verification, store and forward
(both), telemetry, traceroute."""


def is_rebroadcaster(settings: RadioSettings) -> bool:
    """Whether the radio passes anything on at all."""
    return settings.role != "CLIENT_MUTE" and settings.mode != "NONE"


def ignores_port(settings: RadioSettings, port: int) -> bool:
    """Whether a packet that it can read is dropped for its port: neither passed on, nor answered, nor shown."""
    return settings.mode == "CORE_PORTNUMS_ONLY" and port not in _CORE_PORTS


def relays_opaque(packet: Packet, settings: RadioSettings, nodes: Mapping[int, KnownNode]) -> bool:
    """Whether the rebroadcast mode lets it pass on a packet that it can't read.

    2.8.0 does so only in ALL and ALL_SKIP_DECODING. 2.7.26 does in CORE_PORTNUMS_ONLY too, and elsewhere only for what
    may be sealed for one receiver and comes from or goes to a node it knows.
    """
    if settings.relays_repeats:
        return settings.mode in ("ALL", "ALL_SKIP_DECODING") and not settings.licensed
    if settings.mode in ("LOCAL_ONLY", "KNOWN_ONLY"):
        maybe_sealed = packet.cipher is not None and packet.cipher.hash == 0 and packet.to != BROADCAST
        return maybe_sealed and any(number in nodes for number in (packet.sender, packet.to))
    return True


def passes_licence(packet: Packet, settings: RadioSettings, nodes: Mapping[int, KnownNode]) -> bool:
    """Whether a licensed operator's radio may handle a packet: not from or to nodes known to be unlicensed."""
    ends = (nodes.get(packet.sender), nodes.get(packet.to))
    return not settings.licensed or all(node is None or not node.has_user or node.licensed for node in ends)


def cancels_on_duplicate(packet: Packet, settings: RadioSettings, nodes: Mapping[int, KnownNode]) -> bool:
    """Whether hearing somebody else pass a packet on makes it drop its own copy: not routers, nor a base for its own.

    The last are what a CLIENT_BASE's owner marked as favourites, as senders or receivers.
    """
    role = settings.role
    return role not in ("ROUTER", "ROUTER_LATE") and not (role == "CLIENT_BASE" and _favours(packet, nodes))


def puts_off_on_duplicate(packet: Packet, settings: RadioSettings, nodes: Mapping[int, KnownNode]) -> bool:
    """Whether hearing that makes it send its copy late instead."""
    return settings.role == "ROUTER_LATE" or (settings.role == "CLIENT_BASE" and _favours(packet, nodes))


def keeps_hop_limit(
    packet: Packet, settings: RadioSettings, nodes: Mapping[int, KnownNode], own_number: int, now_s: float
) -> bool:
    """Whether a relay passes a packet on without taking a hop off it: from router to router that its owner favours.

    Never at the first hop.
    """
    if settings.role not in ROUTER_ROLES or not packet.hops_away:
        return False
    before = resolve(packet.relay_node, nodes, own_number, now_s, only_neighbours=False)
    if before is None:
        return False
    node = nodes[before]
    return node.favourite and node.has_user and node.role in ROUTER_ROLES


def response_hop_limit(packet: Packet, own_hop_limit: int) -> int:
    """Hop limit of an answer: as many as the packet used and two more, none when it was meant for neighbours."""
    if packet.hops_away > own_hop_limit:
        return packet.hops_away
    return 0 if packet.hop_start == 0 else min(packet.hops_away + 2, own_hop_limit)


def _favours(packet: Packet, nodes: Mapping[int, KnownNode]) -> bool:
    return any((node := nodes.get(number)) is not None and node.favourite for number in (packet.sender, packet.to))
