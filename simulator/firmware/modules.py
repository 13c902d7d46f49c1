"""What a radio's own firmware answers: NodeInfo, traceroute, telemetry, and refusals for what nobody there answers.

Decisions on one packet at a time; sending is `simulator.firmware`'s. Source: firmware `src/modules/` (`NodeInfoModule`,
`TraceRouteModule`, `DeviceTelemetry`, `AdminModule`) and `MeshModule::callModules`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.firmware.payloads import (
    DeviceMetrics,
    NodeInfo,
    Position,
    Route,
    read_metrics,
    read_node_info,
    read_route,
)
from simulator.firmware.relaying import response_hop_limit
from simulator.firmware.sealing import Identity
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import (
    ADMIN_PORT,
    BROADCAST,
    NODEINFO_PORT,
    POSITION_PORT,
    ROUTING_PORT,
    TELEMETRY_PORT,
    TRACEROUTE_PORT,
    Packet,
    Priority,
    RoutingError,
    routing_payload,
)

__all__ = ["NODES_MAX", "Modules", "asks_strangers", "learn", "trace_route"]

_ADMIN_PUBLIC_KEY_UNAUTHORIZED = 37
_INTRODUCED_AGAIN_S = 600.0
"""A NodeInfo is not sent again sooner, whoever asks."""
_ANSWERED_AGAIN_S = 12 * 3600.0
"""Nor to the same asker."""
_BUSY_PERCENT = 40
"""Channel utilisation at which the firmware's own answers stop."""
_POLITE_PERCENT = 25
"""Channel utilisation at which it stops to be curious, and to tell where it is and how it fares."""
_INSISTENT_ROLES = {POSITION_PORT: ("TRACKER", "TAK_TRACKER"), TELEMETRY_PORT: ("SENSOR", "ROUTER", "ROUTER_LATE")}
"""Port -> the roles that go on to the other limit with what they say of themselves on it."""
_UNASKING_ROLES = ("ROUTER", "ROUTER_LATE", "CLIENT_BASE")
_UNKNOWN_SNR = -128
NODES_MAX = 250
"""Places in the node database; the one learnt first makes room."""


class Modules:
    """The modules of one radio."""

    def __init__(self, own: Identity, settings: RadioSettings, metrics: Callable[[], DeviceMetrics]) -> None:
        """`metrics` gives the radio's figures of the moment."""
        self._own = own
        self._settings = settings
        self._metrics = metrics
        self._introduced_s: float | None = None
        self._asked_s: dict[int, float] = {}

    def configure(self, settings: RadioSettings) -> None:
        """Go on with other settings."""
        self._settings = settings

    @property
    def node_info(self) -> NodeInfo:
        """How this radio introduces itself."""
        settings = self._settings
        key = b"" if settings.licensed else self._own.public_key
        return NodeInfo(
            self._own.number, settings.long_name, settings.short_name, settings.role, key, settings.licensed
        )

    def introduction(self, now_s: float, to: int = BROADCAST, *, ask: bool = False, channel: int = 0) -> Packet | None:
        """Our NodeInfo as a packet to send; None while it is too soon after the last, or the channel too busy."""
        if not self._may_introduce(now_s):
            return None
        self._introduced_s = now_s
        return Packet(
            self._own.number,
            to,
            0,
            NODEINFO_PORT,
            self.node_info.encode(),
            hop_limit=self._settings.hop_limit,
            want_response=ask,
            priority=Priority.BACKGROUND,
            channel=channel,
        )

    def position(self, now_s: float) -> Packet | None:
        """Where we are, to all; None while the channel is too busy.

        A virtual radio does not know its place, and nobody asks: the figures only take the room that real ones take.
        """
        north, east = self._own.number >> 16, self._own.number & 0xFFFF
        return self._broadcast(POSITION_PORT, Position(north - 0x8000, east - 0x8000, 100, int(now_s)).encode())

    def telemetry(self, now_s: float) -> Packet | None:
        """How we fare, to all; None while the channel is too busy."""
        return self._broadcast(TELEMETRY_PORT, replace(self._metrics(), time_s=int(now_s)).encode())

    def reply(self, packet: Packet, now_s: float) -> Packet | None:
        """What is sent back to a packet for us that wants a response; None for nothing at all.

        What no module answers is refused with NO_RESPONSE, at the cost of a packet.
        """
        match packet.port:
            case port if port == NODEINFO_PORT:
                asked_s = self._asked_s.pop(packet.sender, None)
                self._asked_s[packet.sender] = now_s
                if len(self._asked_s) > NODES_MAX:
                    del self._asked_s[next(iter(self._asked_s))]
                too_soon = asked_s is not None and now_s - asked_s < _ANSWERED_AGAIN_S
                if too_soon or (introduction := self.introduction(now_s)) is None:
                    return None
                return self._to(packet, replace(introduction, priority=Priority.RELIABLE))
            case port if port == TRACEROUTE_PORT:
                if packet.to == BROADCAST and packet.hops_away:
                    return None
                return self._answer(packet, TRACEROUTE_PORT, packet.payload)
            case port if port == TELEMETRY_PORT and read_metrics(packet.payload) is not None:
                return self._answer(packet, TELEMETRY_PORT, self._metrics().encode())
            case port if port == ADMIN_PORT:
                error = _ADMIN_PUBLIC_KEY_UNAUTHORIZED if packet.pkc else RoutingError.NOT_AUTHORIZED
                return replace(self._answer(packet, ROUTING_PORT, routing_payload(error)), priority=Priority.ACK)
        refusal = self._answer(packet, ROUTING_PORT, routing_payload(RoutingError.NO_RESPONSE))
        return replace(refusal, priority=Priority.ACK, want_ack=False)

    def _broadcast(self, port: int, payload: bytes) -> Packet | None:
        limit_percent = _BUSY_PERCENT if self._settings.role in _INSISTENT_ROLES[port] else _POLITE_PERCENT
        if self._metrics().channel_utilisation_percent >= limit_percent:
            return None
        hop_limit = self._settings.hop_limit
        return Packet(0, BROADCAST, 0, port, payload, hop_limit=hop_limit, priority=Priority.BACKGROUND)

    def _may_introduce(self, now_s: float) -> bool:
        if self._metrics().channel_utilisation_percent >= _BUSY_PERCENT:
            return False
        return self._introduced_s is None or now_s - self._introduced_s >= _INTRODUCED_AGAIN_S

    def _answer(self, packet: Packet, port: int, payload: bytes) -> Packet:
        return self._to(packet, Packet(self._own.number, 0, 0, port, payload, priority=Priority.RELIABLE))

    def _to(self, packet: Packet, answer: Packet) -> Packet:
        """Address an answer as the firmware does (`setReplyTo`)."""
        return replace(
            answer,
            to=packet.sender,
            channel=packet.channel,
            hop_limit=response_hop_limit(packet, self._settings.hop_limit),
            want_ack=packet.want_ack,
            request_id=packet.packet_id,
        )


def asks_strangers(settings: RadioSettings, utilisation_percent: float) -> bool:
    """Whether a radio asks who somebody is of whom it only heard packets: clients do, on a quiet channel."""
    return utilisation_percent < _POLITE_PERCENT and settings.role not in _UNASKING_ROLES


def trace_route(packet: Packet, own: Identity, snr_db: float) -> Packet:
    """Write ourselves into a traceroute that we heard, and how well we heard it; other packets stay as they are."""
    if packet.port != TRACEROUTE_PORT or (route := read_route(packet.payload)) is None:
        return packet
    returning = bool(packet.request_id)
    route = _with_unknown_hops(route, packet.hops_away, returning=returning)
    route = route.with_hop(own.number, snr_db, returning=returning, at_end=packet.to == own.number)
    return replace(packet, payload=route.encode())


def learn(
    nodes: dict[int, KnownNode], packet: Packet, snr_db: float, settings: RadioSettings, now_s: float = 0.0
) -> bool:
    """Note in the node database who sent a packet that we could read now, and what it says of them.

    True when somebody new, or something new of somebody, was learnt.
    """
    known = nodes.get(packet.sender)
    while known is None and len(nodes) >= NODES_MAX:
        del nodes[next(iter(nodes))]
    node = known or nodes.setdefault(packet.sender, KnownNode(packet.sender))
    node.hops_away = packet.hops_away
    node.via_mqtt = packet.via_mqtt
    node.heard_s = now_s
    if not packet.hops_away:
        node.snr_db = snr_db
    if packet.port != NODEINFO_PORT or (told := read_node_info(packet.payload, packet.sender)) is None:
        return known is None
    # A key once known stays: another one could be a stranger under this number (firmware `updateUser`).
    if told.licensed != settings.licensed or (node.public_key and told.public_key != node.public_key):
        return known is None
    before = (node.long_name, node.short_name, node.role, node.public_key)
    node.long_name, node.short_name = told.long_name or node.long_name, told.short_name or node.short_name
    node.role, node.licensed, node.channel = told.role, told.licensed, packet.channel
    node.public_key = told.public_key
    return known is None or before != (node.long_name, node.short_name, node.role, node.public_key)


def _with_unknown_hops(route: Route, hops: int, *, returning: bool) -> Route:
    """Mark the relays that could not read the packet, and so left no trace."""
    passed, snrs = (route.back, route.snr_back) if returning else (route.towards, route.snr_towards)
    passed += (BROADCAST,) * (hops - len(passed))
    snrs += (_UNKNOWN_SNR,) * (len(passed) - len(snrs))
    return replace(route, back=passed, snr_back=snrs) if returning else replace(route, towards=passed, snr_towards=snrs)
