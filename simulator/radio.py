"""A virtual Meshtastic radio, and the same radio as a threadless RadioPort for a node in virtual time.

A plain object between the medium and one client (a port here, a TCP connection in `simulator.streamapi`): it owns the
firmware, the list of known nodes, and what waits for a client that is away. It knows no protobuf and no socket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from nodes.interfaces import RadioAck, RadioDown, RadioEvent, RadioInfo, RadioPacket, RadioPort, RadioUp
from protocol.errors import LocalError
from simulator.firmware import DEFAULT_HOP_LIMIT, Firmware, Host, QueueStatus
from simulator.medium import Medium, Station, Timer
from simulator.packet import ROUTING_PORT, Packet

if TYPE_CHECKING:
    from random import Random

__all__ = ["FIRMWARE_VERSION", "Client", "KnownNode", "VirtualRadio", "VirtualRadioPort"]

FIRMWARE_VERSION = "2.8.0.virtual"

_KEPT_FOR_CLIENT = 8
_REATTACH_S = 1.0
_NODE_INFO_PORT, _TRACEROUTE_PORT = 4, 70
_PRIORITY_BACKGROUND = 10
"""Meshtastic's `BACKGROUND`: people's messages pass ours in the queue."""


class Client(ABC):
    """The phone, program or node attached to a radio. Called by the task that drives the medium."""

    @abstractmethod
    def heard(self, packet: Packet, snr_db: float | None) -> None:
        """The radio hands over a packet: from the air with its SNR, or its own report."""

    @abstractmethod
    def queued(self, status: QueueStatus) -> None:
        """The radio says what became of a packet given to it."""

    @abstractmethod
    def gone(self, reason: str) -> None:
        """The radio is gone for this client: switched off, or taken by another client."""


@dataclass(slots=True)
class KnownNode:
    """What a radio knows of a node: its node database, which it shows to clients."""

    number: int
    long_name: str
    short_name: str
    hops_away: int
    """As Meshtastic counts: 0 for a direct neighbour."""
    snr_db: float = 0.0


class VirtualRadio(Station, Host):
    """One radio of the neighbourhood. Switched on when made."""

    def __init__(
        self,
        name: str,
        node_number: int,
        medium: Medium,
        rng: Random,
        *,
        region: str = "US",
        hop_limit: int = DEFAULT_HOP_LIMIT,
    ) -> None:
        self.name = name
        self.node_number = node_number
        self.long_name = f"Virtual {name}"
        self.short_name = name[:4]
        self.region = region
        self.hop_limit = hop_limit
        self.medium = medium
        self.known_nodes: dict[int, KnownNode] = {}
        self.is_on = False
        self._rng = rng
        self._firmware = Firmware(self, medium.preset, rng, node_number, hop_limit)
        self._client: Client | None = None
        self._listening = False
        self._kept: deque[tuple[Packet, float | None]] = deque(maxlen=_KEPT_FOR_CLIENT)
        self._snr_db: float | None = None
        self._changed = trio.Event()
        self.switch_on()

    @property
    def free_places(self) -> int:
        """Places left in the transmit queue."""
        return self._firmware.free_places

    @property
    def utilisation_percent(self) -> float:
        """Channel utilisation that this radio has measured, 0 to 100."""
        return self._firmware.utilisation_percent

    def switch_on(self) -> None:
        """Power on, with an empty queue and history."""
        if not self.is_on:
            self.is_on = True
            self._firmware = Firmware(self, self.medium.preset, self._rng, self.node_number, self.hop_limit)
            self.medium.join(self)
            self._wake()

    def switch_off(self) -> None:
        """Power off: what it was sending is cut short, what it kept is lost, its client sees it go."""
        if self.is_on:
            self.medium.catch_up()
            self.is_on = False
            self._firmware.stop()
            self.medium.leave(self.name)
            self._kept.clear()
            self._drop_client("the radio was switched off")
            self._wake()

    def new_packet_id(self) -> int:
        """Return a fresh packet id."""
        return self._firmware.new_packet_id()

    async def until_switched(self, *, on: bool) -> None:
        """Wait until the radio is on, or off."""
        while self.is_on != on:
            await self._changed.wait()

    async def until_free(self) -> None:
        """Wait until the queue has a free place or the radio is switched off."""
        while self.is_on and not self.free_places:
            await self._changed.wait()

    def attach(self, client: Client, *, listening: bool = True) -> None:
        """Make `client` the radio's only one; the one before it goes."""
        self._drop_client("another client took the radio")
        self._client = client
        self._listening = False
        if listening:
            self.listen(client)

    def listen(self, client: Client) -> None:
        """From now on `client` gets the packets that come, first those kept for it."""
        if self._client is client:
            self._listening = True
            while self._kept:
                client.heard(*self._kept.popleft())

    def detach(self, client: Client) -> None:
        """Let `client` go, if it is still the radio's."""
        if self._client is client:
            self._client = None

    def submit(self, packet: Packet) -> int:
        """Take a packet from the client and return its id. What the radio says to it comes later."""
        self.medium.catch_up()
        return self._firmware.send(packet)

    def on_sent(self, packet: Packet, airtime_s: float) -> None:
        """Our transmission ended."""
        self._firmware.sent(packet, airtime_s)

    def on_heard(self, packet: Packet, snr_db: float, airtime_s: float) -> None:
        """A packet arrived whole."""
        if node := self.known_nodes.get(packet.sender):
            node.hops_away = packet.hop_start - packet.hop_limit
            node.snr_db = snr_db
        self._snr_db = snr_db
        self._firmware.heard(packet, snr_db, airtime_s)
        self._snr_db = None

    def on_noise(self, airtime_s: float) -> None:
        """A packet occupied the channel here and could not be read."""
        self._firmware.noise(airtime_s)

    @property
    def now_s(self) -> float:
        """Seconds on trio's clock."""
        return self.medium.now_s

    def call_at(self, time_s: float, action: Callable[[], None]) -> Timer:
        """Have `action` called at that time."""
        return self.medium.call_at(time_s, action)

    def channel_is_free(self) -> bool:
        """True when the radio neither sends nor detects anything."""
        return not self.medium.is_sending(self.name) and not self.medium.is_busy(self.name)

    def transmit(self, packet: Packet) -> None:
        """Put the packet on the air."""
        self.medium.transmit(self, packet)
        self._wake()

    def to_client(self, packet: Packet) -> None:
        """Hand a packet to the client as soon as the medium's task runs, or keep it for one."""
        snr_db = self._snr_db
        self.medium.call_at(self.now_s, lambda: self._hand_over(packet, snr_db))

    def queue_status(self, status: QueueStatus) -> None:
        """Tell the client about the queue as soon as the medium's task runs."""
        client = self._client
        self.medium.call_at(self.now_s, lambda: client.queued(status) if client is self._client and client else None)

    def _hand_over(self, packet: Packet, snr_db: float | None) -> None:
        if self._client is not None and self._listening:
            self._client.heard(packet, snr_db)
        elif self.is_on:
            self._kept.append((packet, snr_db))

    def _drop_client(self, reason: str) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.gone(reason)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


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
                self._deliver(RadioAck(packet.request_id, packet.sender, packet.payload[-1] if packet.payload else 0))
        else:
            self._deliver(
                RadioPacket(
                    packet.sender,
                    packet.to,
                    packet.port,
                    packet.payload,
                    packet.packet_id,
                    packet.hop_start,
                    packet.hop_limit,
                    snr_db,
                )
            )

    def queued(self, status: QueueStatus) -> None:
        if status.error:
            self._deliver(RadioAck(status.packet_id, self._own_number, status.error))

    def gone(self, reason: str) -> None:
        self.reason = reason
        self.lost.set()


class VirtualRadioPort(RadioPort):
    """A virtual radio as a node's own port: no thread, no socket, in virtual time as in real time."""

    def __init__(self, radio: VirtualRadio) -> None:
        self._radio = radio

    @property
    def info(self) -> RadioInfo:
        """What the radio says about itself."""
        return RadioInfo(
            self._radio.node_number,
            self._radio.long_name,
            FIRMWARE_VERSION,
            self._radio.region,
            self._radio.medium.preset.name,
            self._radio.hop_limit,
        )

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Hold the radio until cancelled; take it back a second after another client took it."""
        while True:
            await self._radio.until_switched(on=True)
            attachment = _Attachment(self._radio.node_number, deliver)
            deliver(RadioUp(self.info))
            self._radio.attach(attachment)
            try:
                await attachment.lost.wait()
            finally:
                self._radio.detach(attachment)
            deliver(RadioDown(attachment.reason))
            await trio.sleep(_REATTACH_S)

    async def transmit(
        self,
        payload: bytes,
        *,
        to: int,
        port: int,
        channel: int = 0,
        want_ack: bool = False,
        want_response: bool = False,
        reply_id: int = 0,
        hop_limit: int | None = None,
    ) -> int:
        """Hand one packet to the radio's queue and return its id; waits while the queue is full."""
        await trio.lowlevel.checkpoint()
        await self._radio.until_free()
        if not self._radio.is_on:
            raise LocalError("the radio is gone", "it was switched off", "switch it on again")
        packet = Packet(
            self._radio.node_number,
            to,
            0,
            port,
            payload,
            want_ack,
            hop_limit or 0,
            reply_id=reply_id,
            want_response=want_response,
            priority=_PRIORITY_BACKGROUND,
        )
        return self._radio.submit(packet)

    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """Introduce this radio to that one and ask for the same; see RadioPort."""
        await self.transmit(b"", to=number, port=_NODE_INFO_PORT, channel=channel, want_response=True)

    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """Send an empty route, which each relay adds itself to; see RadioPort."""
        await self.transmit(b"", to=number, port=_TRACEROUTE_PORT, channel=channel, want_response=True)
