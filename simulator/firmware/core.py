"""What a Meshtastic radio's firmware does with packets: managed flooding, contention, retransmission, acknowledgement.

The logic of one radio, without I/O: it asks its host for timers and the channel and hands packets back. It knows
nothing of the medium or of clients. Source: firmware 2.8.0 and 2.7.26, `src/mesh/` (`RadioLibInterface`, `Router`,
`FloodingRouter`, `NextHopRouter`, `ReliableRouter`), and traces recorded from 2.8.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocol.airtime import Preset, time_on_air_s
from simulator.firmware.answers import acknowledgement, is_no_response, report, routing_reply
from simulator.firmware.delivery import Delivery
from simulator.firmware.history import PacketHistory
from simulator.firmware.host import Host, QueueStatus
from simulator.firmware.housekeeping import Chatter, Housekeeping
from simulator.firmware.modules import NODES_MAX, Modules, asks_strangers, learn, trace_route
from simulator.firmware.nexthop import Again, passes_on
from simulator.firmware.payloads import DeviceMetrics
from simulator.firmware.relaying import (
    cancels_on_duplicate,
    ignores_port,
    is_rebroadcaster,
    keeps_hop_limit,
    passes_licence,
    puts_off_on_duplicate,
    relays_opaque,
)
from simulator.firmware.sealing import Identity, Keyring, Reading
from simulator.firmware.settings import MAX_HOP_LIMIT, KnownNode, RadioSettings
from simulator.firmware.transmitter import Transmitter
from simulator.firmware.txqueue import priority_of
from simulator.packet import (
    BROADCAST,
    MAX_PHY_BYTES,
    ROUTING_PORT,
    TELEMETRY_PORT,
    TRACEROUTE_PORT,
    Packet,
    Priority,
    RoutingError,
    routing_error,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["Firmware"]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy of a packet as it was heard."""

    packet: Packet
    readable: bool
    snr_db: float | None
    """None when it came over the internet."""


class Firmware:
    """The packet logic of one radio. A restart is a new one."""

    def __init__(
        self,
        host: Host,
        own: Identity,
        settings: RadioSettings,
        preset: Preset,
        nodes: dict[int, KnownNode],
        rng: Random,
    ) -> None:
        """`nodes` is the radio's node database, which this keeps up to date."""
        self._host = host
        self._own = own
        self._settings = settings
        self._preset = preset
        self._nodes = nodes
        self._rng = rng
        self._keyring = Keyring(own, settings, preset, nodes)
        self._transmitter = Transmitter(host, settings, preset, rng)
        self._history = PacketHistory()
        self._delivery = Delivery(
            host,
            own,
            settings,
            nodes,
            self._transmitter,
            lambda packet: self._report(packet, self._dispatch(packet)),
            lambda packet: self._tell_client(packet, RoutingError.MAX_RETRANSMIT),
        )
        self._modules = Modules(own, settings, self._metrics)
        self._housekeeping = Housekeeping(host, settings, preset, nodes, rng, self._tell_metrics, self._say)

    @property
    def free_places(self) -> int:
        """Places left in the transmit queue."""
        return self._transmitter.free_places

    @property
    def utilisation_percent(self) -> float:
        """Channel utilisation as this radio sees it, 0 to 100."""
        return self._transmitter.utilisation_percent

    @property
    def node_info(self) -> bytes:
        """The radio's own NodeInfo, as it goes out."""
        return self._modules.node_info.encode()

    def configure(self, settings: RadioSettings) -> None:
        """Go on with other names and channels; all else needs a new firmware."""
        self._settings = settings
        self._keyring = Keyring(self._own, settings, self._preset, self._nodes)
        self._modules.configure(settings)

    def new_packet_id(self) -> int:
        """Return a fresh packet id."""
        return self._rng.randint(1, 0xFFFFFFFF)

    def stop(self) -> None:
        """Forget every timer: the radio lost its power."""
        self._transmitter.stop()
        self._delivery.stop()
        self._housekeeping.stop()

    def send(self, packet: Packet) -> int:
        """Take a packet from the client and return its id, drawn when it has none; a queue status follows at once."""
        hop_limit = min(packet.hop_limit or self._settings.hop_limit, MAX_HOP_LIMIT)
        packet = self._addressed(replace(packet, hop_limit=hop_limit))
        if packet.to == self._own.number:
            self._status(packet, RoutingError.NONE)
            if packet.want_ack:
                self._tell_client(packet, RoutingError.NONE)
        else:
            error = self._originate(packet)
            self._status(packet, error)
            self._report(packet, error)
        return packet.packet_id

    def refuse(self, packet: Packet) -> None:
        """Refuse a text that came too soon after another one.

        The client gets a queue status without an error. The refusal that it should get goes on the air instead, to node
        0 (seen in traces of 2.8.0).
        """
        self._status(packet, RoutingError.NONE)
        refusal = routing_reply(replace(packet, sender=0), 0, error=RoutingError.RATE_LIMIT_EXCEEDED)
        self._originate(self._addressed(refusal))

    def drop(self, packet: Packet) -> None:
        """Drop another packet that came too soon: the client gets a queue status without an error, and nothing else."""
        self._status(packet, RoutingError.NONE)

    def sent(self, airtime_s: float) -> None:
        """Our transmission is over."""
        self._transmitter.sent(airtime_s)

    def noise(self, airtime_s: float) -> None:
        """The channel was in use and nothing could be read."""
        self._transmitter.sensed(airtime_s)
        self._transmitter.arm()

    def heard(self, packet: Packet, snr_db: float | None, airtime_s: float) -> None:
        """A packet arrived whole from the air, or from the internet without an SNR."""
        self._transmitter.sensed(airtime_s)
        self._take(packet, snr_db, airtime_s)
        self._transmitter.arm()

    def _take(self, packet: Packet, snr_db: float | None, airtime_s: float) -> None:
        reading, packet = self._keyring.open(packet)
        copy = _Copy(packet, reading is Reading.READ, snr_db)
        if self._settings.relays_repeats and not copy.readable:
            # 2.8.0: before any history, so every copy is passed on and none is an implicit acknowledgement.
            if reading is Reading.OPAQUE and relays_opaque(packet, self._settings, self._nodes):
                self._relay(copy, remember=False)
            return
        if packet.sender == self._own.number and (own := self._delivery.passed_on(packet.key)):
            self._tell_client(own, RoutingError.NONE)
        self._delivery.lengthen(airtime_s)
        seen = self._history.note(packet, self._host.now_s)
        again = self._delivery.note(packet) if packet.to != BROADCAST else None
        if packet.sender == self._own.number:
            return
        if seen is None:
            self._take_new(copy)
        else:
            self._take_again(copy, again, upgraded=self._transmitter.rules.takes_repeats and seen < packet.hop_limit)

    def _take_new(self, copy: _Copy) -> None:
        packet = copy.packet
        for_us = packet.to in (self._own.number, BROADCAST)
        reply: Packet | None = None
        if copy.readable:
            if ignores_port(self._settings, packet.port):
                self._delivery.withdraw(packet.key)
                return
            snr_db = copy.snr_db or 0.0
            if learn(self._nodes, packet, snr_db, self._settings, self._host.now_s):
                self._host.learnt(self._nodes[packet.sender])
            if packet.port == TRACEROUTE_PORT:
                packet = trace_route(packet, self._own, snr_db)
                copy = replace(copy, packet=packet)
            if for_us and packet.want_response:
                reply = self._modules.reply(packet, self._host.now_s)
        elif not relays_opaque(packet, self._settings, self._nodes):
            return
        if not copy.readable or passes_licence(packet, self._settings, self._nodes):
            self._sniff(copy, replied=reply is not None and not is_no_response(reply))
            if for_us and copy.readable:
                self._host.to_client(packet, copy.snr_db)
                self._ask_who(packet)
        if reply is not None:
            self._originate(self._addressed(reply))

    def _sniff(self, copy: _Copy, *, replied: bool) -> None:
        """Acknowledge, settle, and pass on."""
        packet = copy.packet
        if packet.to == self._own.number:
            if not replied:
                self._acknowledge(copy)
            if copy.readable and packet.request_id and _says_key_is_unknown(packet):
                self._introduce(packet.sender, packet.channel)
        if copy.readable and packet.to != BROADCAST and (packet.request_id or packet.reply_id):
            self._delivery.follow(packet)
        self._relay(copy)

    def _take_again(self, copy: _Copy, again: Again | None, *, upgraded: bool) -> None:
        packet = copy.packet
        waiting = self._transmitter.find(packet.key)
        if upgraded and waiting and waiting.packet.hop_limit < packet.hop_limit and is_rebroadcaster(self._settings):
            self._transmitter.cancel(packet.key)
            self._relay(copy)
            return
        if again is not None and copy.snr_db is not None and self._delivery.passed_on(packet.key):
            waiting = self._transmitter.find(packet.key)
        if again is not None and again.falls_back:
            if waiting is None:
                self._relay(copy)
        elif not packet.hops_away and self._transmitter.rules.takes_repeats:
            if waiting is None and not self._relay(copy) and packet.to == self._own.number and packet.want_ack:
                self._originate(self._addressed(routing_reply(packet, 0)))
        elif again is None or not again.was_asked:
            if cancels_on_duplicate(packet, self._settings, self._nodes):
                self._delivery.withdraw(packet.key)
            elif puts_off_on_duplicate(packet, self._settings, self._nodes):
                self._transmitter.put_off(packet.key)

    def _acknowledge(self, copy: _Copy) -> None:
        answer = acknowledgement(
            copy.packet, self._own.last_byte, self._settings.hop_limit, self._nodes, readable=copy.readable
        )
        if answer is not None:
            self._originate(self._addressed(answer))

    def _relay(self, copy: _Copy, *, remember: bool = True) -> bool:
        """Queue a copy to be passed on, unless it is ours, for us, at its last hop, aimed at another relay, or this
        radio passes nothing on.
        """
        packet, own = copy.packet, self._own
        ours = own.number in (packet.sender, packet.to)
        if ours or not packet.hop_limit or not packet.packet_id or not is_rebroadcaster(self._settings):
            return False
        if packet.next_hop and not passes_on(packet, own.last_byte):
            return False
        if not remember:
            passed = packet.passed_on(own.last_byte, packet.hop_limit - 1)
            self._delivery.queue(passed, copy.snr_db, readable=False)
            return True
        kept = keeps_hop_limit(packet, self._settings, self._nodes, own.number, self._host.now_s)
        passed = packet.passed_on(own.last_byte, packet.hop_limit if kept else packet.hop_limit - 1)
        self._history.note(passed, self._host.now_s)
        self._delivery.relay(passed, copy.snr_db, readable=copy.readable)
        return True

    def _originate(self, packet: Packet) -> int:
        """Send a packet of our own; returns 0, or why it did not reach the queue."""
        if not packet.channel and packet.to != BROADCAST and (receiver := self._nodes.get(packet.to)):
            packet = replace(packet, channel=receiver.channel)
        if packet.want_ack:
            self._delivery.expect(packet)
        airtime_s = time_on_air_s(self._preset, min(packet.phy_bytes, MAX_PHY_BYTES))
        self._delivery.lengthen(airtime_s, but=packet.packet_id)
        return self._dispatch(packet)

    def _dispatch(self, packet: Packet) -> int:
        """Send a packet of our own now, aimed at the next hop where one is known."""
        self._history.note(packet, self._host.now_s)
        if packet.to != BROADCAST:
            on_air = self._delivery.aim(packet)
        else:
            on_air = replace(packet, want_ack=False) if packet.want_ack else packet
        closed = self._keyring.close(on_air) if self._transmitter.within_duty_cycle else RoutingError.DUTY_CYCLE_LIMIT
        if isinstance(closed, RoutingError):
            self._delivery.give_up(packet)
            return closed
        if not self._settings.transmits:
            return RoutingError.PKI_FAILED
        queued = self._transmitter.queue(closed, priority_of(packet), None)
        return RoutingError.NONE if queued else RoutingError.BAD_REQUEST

    def _report(self, packet: Packet, error: int) -> None:
        """Tell the client why a packet can't leave; of a full queue and a silent transmitter only the status tells."""
        if error not in (RoutingError.NONE, RoutingError.BAD_REQUEST, RoutingError.PKI_FAILED):
            self._tell_client(packet, RoutingError(error))

    def _introduce(self, to: int, channel: int, *, ask: bool = False) -> None:
        if introduction := self._modules.introduction(self._host.now_s, to, ask=ask, channel=channel):
            self._originate(self._addressed(introduction))

    def _say(self, kind: Chatter) -> bool:
        """Say something by ourselves; False when the air is too busy."""
        if not self._transmitter.has_airtime_for_chatter:
            return False
        now_s = self._host.now_s
        match kind:
            case Chatter.INTRODUCTION:
                packet = self._modules.introduction(now_s)
            case Chatter.POSITION:
                packet = self._modules.position(now_s)
            case Chatter.TELEMETRY:
                packet = self._modules.telemetry(now_s)
        if packet is not None:
            self._originate(self._addressed(packet))
        return packet is not None

    def _ask_who(self, packet: Packet) -> None:
        """Exchange NodeInfo with a sender whose own was never heard."""
        if self._nodes[packet.sender].has_user or len(self._nodes) >= NODES_MAX:
            return
        if asks_strangers(self._settings, self.utilisation_percent):
            self._introduce(packet.sender, packet.channel, ask=True)

    def _tell_metrics(self) -> None:
        """Give the client this radio's own figures."""
        metrics = self._addressed(Packet(0, BROADCAST, 0, TELEMETRY_PORT, self._metrics().encode()))
        self._host.to_client(replace(metrics, priority=Priority.BACKGROUND))

    def _metrics(self) -> DeviceMetrics:
        uptime_s = self._housekeeping.uptime_s
        return DeviceMetrics(self.utilisation_percent, self._transmitter.sending_percent, uptime_s)

    def _status(self, packet: Packet, error: int) -> None:
        self._host.queue_status(QueueStatus(error, self.free_places, packet.packet_id))

    def _tell_client(self, packet: Packet, error: RoutingError) -> None:
        """Report on the client's own packet, as from this radio itself."""
        self._host.to_client(report(packet, self._own.number, self.new_packet_id(), error))

    def _addressed(self, packet: Packet) -> Packet:
        """One of our own packets, with what every one of them carries."""
        return replace(
            packet,
            sender=self._own.number,
            packet_id=packet.packet_id or self.new_packet_id(),
            hop_start=packet.hop_limit,
            relay_node=self._own.last_byte,
        )


def _says_key_is_unknown(packet: Packet) -> bool:
    return packet.port == ROUTING_PORT and routing_error(packet.payload) == RoutingError.PKI_UNKNOWN_PUBKEY
