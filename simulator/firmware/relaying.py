"""Which packets a radio passes on, and how long it waits before: roles, rebroadcast modes, contention.

Pure rules from the firmware (`FloodingRouter`, `NextHopRouter`, `RoutingModule`, `RadioInterface`), 2.8.0 and, where it
differs, 2.7.26. Knows no queue and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from simulator.firmware.nexthop import ROUTER_ROLES, resolve
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import BROADCAST, Packet

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "CW_MAX",
    "CW_MIN",
    "cancels_on_duplicate",
    "ignores_port",
    "is_rebroadcaster",
    "keeps_hop_limit",
    "late_wait_slots",
    "own_window",
    "passes_licence",
    "puts_off_on_duplicate",
    "relay_wait_slots",
    "relays_opaque",
    "response_hop_limit",
]

CW_MIN, CW_MAX = 3, 8
_SNR_MIN_DB, _SNR_MAX_DB = -20, 10

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


def own_window(utilisation_percent: float) -> int:
    """Exponent of the contention window for a radio's own packets."""
    return _scale(int(utilisation_percent), 0, 100)


def relay_wait_slots(settings: RadioSettings, snr_db: float, rng: Random) -> int:
    """Slots that a relay waits before it sends: the worse it heard, the shorter; routers before everybody else."""
    window = max(_scale(int(snr_db), _SNR_MIN_DB, _SNR_MAX_DB), 0)
    if settings.role == "ROUTER":
        return rng.randrange(max(2 * window, 1))
    return 2 * CW_MAX + rng.randrange(1 << window)


def late_wait_slots(snr_db: float) -> int:
    """Slots by which a ROUTER_LATE puts its copy off when somebody else passed the packet on."""
    return 2 * CW_MAX + (1 << max(_scale(int(snr_db), _SNR_MIN_DB, _SNR_MAX_DB), 0))


def response_hop_limit(packet: Packet, own_hop_limit: int) -> int:
    """Hop limit of an answer: as many as the packet used and two more, none when it was meant for neighbours."""
    if packet.hops_away > own_hop_limit:
        return packet.hops_away
    return 0 if packet.hop_start == 0 else min(packet.hops_away + 2, own_hop_limit)


def _favours(packet: Packet, nodes: Mapping[int, KnownNode]) -> bool:
    return any((node := nodes.get(number)) is not None and node.favourite for number in (packet.sender, packet.to))


def _scale(value: int, low: int, high: int) -> int:
    """Arduino's integer `map` onto the contention windows; deliberately unclamped, as in the firmware."""
    return int((value - low) * (CW_MAX - CW_MIN) / (high - low)) + CW_MIN
