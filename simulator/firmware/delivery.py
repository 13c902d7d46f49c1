"""How a radio follows its packets: which it waits to hear of, where it aims direct ones, which copies it withdraws.

Joins the memories of `nexthop` and the timers of `retrying` with the transmitter; the rules are theirs and those of
`relaying`. Source: firmware `NextHopRouter` and `ReliableRouter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from simulator.firmware.host import Host
from simulator.firmware.nexthop import Again, Passages, Routes
from simulator.firmware.relaying import cancels_on_duplicate
from simulator.firmware.retrying import RELAY_TRIES, Pending, Retries
from simulator.firmware.sealing import Identity
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.firmware.transmitter import Transmitter
from simulator.firmware.txqueue import priority_of
from simulator.packet import BROADCAST, ROUTING_PORT, Packet, RoutingError, routing_error

__all__ = ["Delivery"]

_BITFIELD_BYTES = 2
"""What a packet of our own still lacks when the firmware computes the timeout for an acknowledgement."""


class Delivery:
    """What one radio knows of the way of its packets, and of those that it passes on."""

    def __init__(
        self,
        host: Host,
        own: Identity,
        settings: RadioSettings,
        nodes: Mapping[int, KnownNode],
        transmitter: Transmitter,
        send_again: Callable[[Packet], None],
        given_up: Callable[[Packet], None],
    ) -> None:
        """`send_again` and `given_up` are for packets of our own; relayed ones need nobody else."""
        self._host = host
        self._own = own
        self._settings = settings
        self._nodes = nodes
        self._transmitter = transmitter
        self._send_again = send_again
        self._given_up = given_up
        self._passages = Passages(own.last_byte)
        self._routes = Routes(own.number, nodes, checked=settings.doubts_routes)
        self._retries = Retries(lambda: host.now_s, host.call_at, self._timeout_s, self._try_again, self._give_up)

    def stop(self) -> None:
        """Forget every timer."""
        self._retries.stop()

    def note(self, packet: Packet) -> Again | None:
        """Note a copy of a direct packet that was heard; None when it was never met."""
        return self._passages.note(packet, self._host.now_s)

    def expect(self, packet: Packet) -> None:
        """From now on wait for an acknowledgement of a packet of our own."""
        self._retries.expect(packet, self._transmitter.rules.own_tries)

    def lengthen(self, airtime_s: float, *, but: int = 0) -> None:
        """The channel carried something else, or packet `but`: what is waited for could not be heard."""
        if self._transmitter.rules.waits_longer_on_busy_air:
            self._retries.lengthen(airtime_s, but=but)

    def give_up(self, packet: Packet) -> None:
        """Wait no more for a packet of our own: it can't leave."""
        self._retries.settle(packet.key)

    def withdraw(self, key: tuple[int, int]) -> None:
        """Drop a waiting copy of a packet: this radio does not pass it on after all."""
        if self._transmitter.cancel(key):
            self._passages.withdraw(key)

    def passed_on(self, key: tuple[int, int]) -> Packet | None:
        """Somebody passed a packet on, ours or one that we aimed: returns it, None when it was not waited for."""
        packet = self._retries.settle(key)
        if packet is not None and self._may_withdraw(packet):
            self.withdraw(key)
        return packet

    def aim(self, packet: Packet) -> Packet:
        """Aim a direct packet of our own at the next hop, where one is known: then it is tried twice at least."""
        self._passages.note(packet, self._host.now_s)
        next_hop = self._routes.next_hop(packet.to, self._host.now_s)
        if not next_hop:
            return packet
        if packet.hop_limit and not packet.want_ack:
            self._retries.expect(packet, RELAY_TRIES)
        return replace(packet, next_hop=next_hop)

    def relay(self, packet: Packet, snr_db: float | None, *, readable: bool) -> None:
        """Queue the copy of somebody's packet that this radio passes on.

        A direct one that was aimed at this radio is aimed at the next one, and tried twice; others flood on.
        """
        if packet.to != BROADCAST:
            self._passages.note(packet, self._host.now_s)
            if packet.next_hop:
                next_hop = self._routes.next_hop(packet.to, self._host.now_s)
                packet = replace(packet, next_hop=next_hop, priority=priority_of(packet, readable=readable))
                if next_hop and (packet.hop_limit or packet.want_ack):
                    self._retries.expect(packet, RELAY_TRIES, snr_db)
        self.queue(packet, snr_db, readable=readable)

    def queue(self, packet: Packet, snr_db: float | None, *, readable: bool) -> None:
        """Queue somebody's packet as it is, where the region and its duty cycle allow."""
        if self._settings.transmits and self._transmitter.within_duty_cycle:
            self._transmitter.queue(packet, priority_of(packet, readable=readable), snr_db)

    def follow(self, answer: Packet) -> None:
        """Learn from a direct answer: the way to its sender, and that what it answers has arrived."""
        if answer.to == self._own.number and answer.request_id:
            error = routing_error(answer.payload) if answer.port == ROUTING_PORT else RoutingError.NONE
            if error == RoutingError.NONE:
                self._routes.confirm(answer.sender, self._host.now_s)
        if self._settings.learns_routes and self._passages.proves(answer):
            self._routes.learn(answer.sender, answer.relay_node, self._host.now_s)
        key = (answer.to, answer.request_id)
        self.withdraw(key)
        self._retries.settle(key)

    def _may_withdraw(self, packet: Packet) -> bool:
        return packet.sender == self._own.number or cancels_on_duplicate(packet, self._settings, self._nodes)

    def _try_again(self, pending: Pending) -> None:
        """Send a packet once more. The last try of a direct one forgets the next hop and floods."""
        packet = pending.packet
        if not pending.tries_left and packet.to != BROADCAST:
            self._routes.give_up(packet.to)
        if packet.sender == self._own.number:
            self._send_again(packet)
        else:
            flood = replace(packet, next_hop=0)
            self._passages.note(flood, self._host.now_s)
            self.queue(flood, pending.snr_db, readable=True)

    def _give_up(self, packet: Packet) -> None:
        if packet.sender == self._own.number:
            self._given_up(packet)
        if self._may_withdraw(packet):
            self.withdraw(packet.key)

    def _timeout_s(self, packet: Packet) -> float:
        own = packet.sender == self._own.number
        return self._transmitter.retry_timeout_s(packet.phy_bytes - _BITFIELD_BYTES if own else packet.phy_bytes)
