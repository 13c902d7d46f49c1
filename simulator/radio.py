"""A virtual radio as a node's own RadioPort: no thread, no socket, in virtual time as in real time.

Translation only: what the radio does is `simulator.device`'s and its firmware's.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from nodes.bearers.deliveries import routing_error_of_status
from nodes.interfaces import (
    ChannelKey,
    OutgoingPacket,
    RadioAck,
    RadioChannel,
    RadioDown,
    RadioEvent,
    RadioInfo,
    RadioLoad,
    RadioNode,
    RadioPacket,
    RadioPort,
    RadioRoute,
    RadioUp,
)
from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator.device import Client, VirtualRadio
from simulator.firmware.host import QueueStatus
from simulator.firmware.payloads import read_metrics, read_route
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import (
    NODEINFO_PORT,
    ROUTING_PORT,
    TELEMETRY_PORT,
    TRACEROUTE_PORT,
    Packet,
    Priority,
    routing_error,
)

__all__ = ["VirtualRadioPort"]

_REATTACH_S = 1.0


class _Attachment(Client):
    """Turns what the radio says into RadioEvents, until it goes."""

    def __init__(self, own_number: int, deliver: Callable[[RadioEvent], None]) -> None:
        self._own_number = own_number
        self._deliver = deliver
        self.lost = trio.Event()
        self.reason = ""

    def heard(self, packet: Packet, snr_db: float | None) -> None:
        if packet.port == ROUTING_PORT:
            if packet.request_id:
                self._deliver(RadioAck(packet.request_id, packet.sender, routing_error(packet.payload)))
        elif packet.port == TELEMETRY_PORT and packet.sender == self._own_number:
            if metrics := read_metrics(packet.payload):
                self._deliver(RadioLoad(metrics.channel_utilisation_percent, metrics.air_util_tx_percent))
        else:
            if packet.port == TRACEROUTE_PORT and packet.request_id and (route := read_route(packet.payload)):
                self._deliver(RadioRoute(packet.sender, route.towards))
            self._deliver(_radio_packet(packet, snr_db))

    def queued(self, status: QueueStatus) -> None:
        if status.error:
            error = routing_error_of_status(status.error)
            self._deliver(RadioAck(status.packet_id, self._own_number, error))

    def learnt(self, node: KnownNode) -> None:
        self._deliver(RadioNode(node.number, node.long_name, node.role, bool(node.public_key)))

    def gone(self, reason: str) -> None:
        self.reason = reason
        self.lost.set()


class VirtualRadioPort(RadioPort):
    """A virtual radio as a RadioPort."""

    def __init__(self, radio: VirtualRadio) -> None:
        self._radio = radio

    @property
    def info(self) -> RadioInfo:
        """What the radio says about itself."""
        settings = self._radio.settings
        channels = (_radio_channel(settings, index) for index, one in enumerate(settings.channels) if one.enabled)
        return RadioInfo(
            self._radio.node_number,
            self._radio.long_name,
            f"{settings.firmware}.virtual",
            self._radio.region,
            self._radio.preset.name if self._radio.preset.name in PRESETS else "",
            self._radio.hop_limit,
            settings.role,
            settings.mode,
            tuple(channels),
            settings.licensed,
            settings.ok_to_mqtt,
        )

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Hold the radio until cancelled; take it back a second after another client took it."""
        while True:
            await self._radio.until_switched(on=True)
            attachment = _Attachment(self._radio.node_number, deliver)
            deliver(RadioUp(self.info))
            for node in self._radio.known_nodes.values():
                attachment.learnt(node)
            self._radio.attach(attachment)
            try:
                await attachment.lost.wait()
            finally:
                self._radio.detach(attachment)
            deliver(RadioDown(attachment.reason))
            await trio.sleep(_REATTACH_S)

    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Hand one packet to the radio's queue and return its id; waits while the queue is full."""
        await trio.lowlevel.checkpoint()
        await self._radio.until_free()
        if not self._radio.is_on:
            raise LocalError("the radio is gone", "it was switched off", "switch it on again")
        return self._radio.submit(
            Packet(
                self._radio.node_number,
                packet.to,
                0,
                packet.port,
                packet.payload,
                packet.want_ack,
                packet.hop_limit or 0,
                reply_id=packet.reply_id,
                want_response=packet.want_response,
                priority=Priority.BACKGROUND,
                channel=packet.channel,
            )
        )

    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """Introduce this radio to that one and ask for the same; see RadioPort."""
        await self.transmit(self._radio.node_info, to=number, port=NODEINFO_PORT, channel=channel, want_response=True)

    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """Send an empty route, which each relay adds itself to; see RadioPort."""
        await self.transmit(b"", to=number, port=TRACEROUTE_PORT, channel=channel, want_response=True)


def _radio_packet(packet: Packet, snr_db: float | None) -> RadioPacket:
    return RadioPacket(
        packet.sender,
        packet.to,
        packet.port,
        packet.payload,
        packet.packet_id,
        packet.hop_start,
        packet.hop_limit,
        snr_db,
        packet.channel,
        packet.pkc,
        packet.via_mqtt,
        packet.request_id,
        packet.reply_id,
    )


def _radio_channel(settings: RadioSettings, index: int) -> RadioChannel:
    channel = settings.channels[index]
    kind = ChannelKey.OWN
    if not settings.key_of(index):
        kind = ChannelKey.NONE
    elif len(channel.key or settings.channels[0].key) == 1:
        kind = ChannelKey.DEFAULT
    return RadioChannel(index, channel.name, kind, channel.uplink)
