"""A virtual Meshtastic radio: a plain object between the medium and one client, a port or a TCP connection.

It owns the settings, the firmware, the node database, and what waits for a client that is away. It knows no protobuf,
no socket, and nothing of what its client wants. Changed settings restart it, as they restart a real one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from zlib import crc32

import trio

from protocol.airtime import Preset
from simulator.channels import Tuning, shown_name, tuning
from simulator.firmware.clientlimits import ClientLimits, Limit
from simulator.firmware.core import Firmware
from simulator.firmware.host import Host, QueueStatus
from simulator.firmware.sealing import Identity
from simulator.firmware.settings import KnownNode, RadioSettings, key_pair, public_key
from simulator.medium import Medium, Station, Timer
from simulator.packet import TELEMETRY_PORT, TEXT_PORT, Packet

if TYPE_CHECKING:
    from random import Random

__all__ = ["Client", "VirtualRadio"]

_RESTART_S = 1.0


class Client(ABC):
    """The phone, program or node attached to a radio. Called by the task that drives the medium."""

    @abstractmethod
    def heard(self, packet: Packet, snr_db: float | None) -> None:
        """The radio hands over a packet: from the air with its SNR, or its own report."""

    @abstractmethod
    def queued(self, status: QueueStatus) -> None:
        """The radio says what became of a packet given to it."""

    @abstractmethod
    def learnt(self, node: KnownNode) -> None:
        """The radio knows more of another one than before."""

    @abstractmethod
    def gone(self, reason: str) -> None:
        """The radio is gone for this client: switched off, or taken by another client."""


class VirtualRadio(Station, Host):
    """One radio of the neighbourhood. Switched on when made."""

    def __init__(
        self,
        name: str,
        node_number: int,
        medium: Medium,
        rng: Random,
        settings: RadioSettings | None = None,
    ) -> None:
        self.name = name
        self.node_number = node_number
        self.medium = medium
        self.settings = _named(settings or RadioSettings(), name)
        """What is set; in force since the last restart, but for names and channels, which need none."""
        self.known_nodes: dict[int, KnownNode] = {}
        self.stored: dict[str, bytes] = {}
        """Parts of the configuration that clients wrote and nothing here acts on: name -> encoded."""
        self.private_key = key_pair(node_number)[0]
        self.is_on = False
        self._running = self.settings
        self._rng = rng
        self._client: Client | None = None
        self._listening = False
        self._limits = ClientLimits()
        self._kept: deque[tuple[Packet, float | None]] = deque()
        self._changed = trio.lowlevel.ParkingLot()
        self._restart: Timer | None = None
        self._renumbered = False
        self.switch_on()

    @property
    def long_name(self) -> str:
        """The name that people see."""
        return self.settings.long_name

    @property
    def short_name(self) -> str:
        """At most four characters."""
        return self.settings.short_name

    @property
    def region(self) -> str:
        """Meshtastic's name of the region in force, `UNSET` for none."""
        return self._running.region

    @property
    def hop_limit(self) -> int:
        """Relays that its own packets are allowed."""
        return self._running.hop_limit

    @property
    def preset(self) -> Preset:
        """The modem preset in force."""
        return self._running.preset or self.medium.preset

    @property
    def tuning(self) -> Tuning:
        """What others must share to hear it."""
        return self._tuning

    @property
    def public_key(self) -> bytes:
        """Its public key; empty without a key pair, which is made when the region is first set."""
        return public_key(self.private_key) if self._running.has_pkc and self._running.transmits else b""

    @property
    def free_places(self) -> int:
        """Places left in the transmit queue."""
        return self._firmware.free_places

    @property
    def utilisation_percent(self) -> float:
        """Channel utilisation that this radio has measured, 0 to 100."""
        return self._firmware.utilisation_percent

    @property
    def node_info(self) -> bytes:
        """How it introduces itself, as the payload of a NODEINFO_APP packet."""
        return self._firmware.node_info

    def switch_on(self) -> None:
        """Power on, with an empty queue and history."""
        if not self.is_on:
            self.is_on = True
            self._run(self.settings)
            own = Identity(self.node_number, self.public_key)
            self._firmware = Firmware(self, own, self._running, self.preset, self.known_nodes, self._rng)
            self._limits = ClientLimits()
            self.medium.join(self)
            self._wake()

    def switch_off(self, reason: str = "the radio was switched off") -> None:
        """Power off: what it was sending is cut short, what it kept is lost, its client sees it go."""
        if self.is_on:
            self.medium.catch_up()
            self.is_on = False
            self._firmware.stop()
            self.medium.leave(self.name)
            self._kept.clear()
            self._drop_client(reason)
            self._wake()

    def configure(self, settings: RadioSettings) -> None:
        """Set everything anew; names and channels are in force at once, the rest after the next restart."""
        self.settings = _named(settings, self.name)
        self._running = replace(
            self._running,
            channels=self.settings.channels,
            long_name=self.settings.long_name,
            short_name=self.settings.short_name,
        )
        self._tune()
        if self.is_on:
            self._firmware.configure(self._running)
            self.medium.join(self)

    def set_private_key(self, private_key: bytes) -> None:
        """Give it another key pair; the node number follows the public key, from the next restart."""
        self.private_key = private_key
        self._renumbered = True

    def restart(self, after_s: float = 0.0) -> None:
        """Switch off `after_s` from now and on again a second later; instead of a restart that was due."""
        self.medium.catch_up()
        if self._restart is not None:
            self._restart.cancel()
        self._restart = self.medium.call_at(self.now_s + after_s, self._go_down)

    def _go_down(self) -> None:
        self._restart = None
        if self.is_on:
            self.switch_off("the radio restarts")
            self.medium.call_at(self.now_s + _RESTART_S, self.switch_on)

    def _run(self, settings: RadioSettings) -> None:
        """Put settings in force. The first region makes the key pair; with 2.8 the node number follows it."""
        first_keys = settings.transmits and not self._running.transmits and settings.relays_repeats
        self._running = settings
        self._tune()
        if settings.has_pkc and (first_keys or self._renumbered):
            self._renumbered = False
            self.node_number = crc32(self.public_key)

    def _tune(self) -> None:
        running = self._running
        primary = shown_name(running.channels[0], self.preset)
        self._tuning = tuning(self.preset, running.region, primary, running.slot)

    def new_packet_id(self) -> int:
        """Return a fresh packet id."""
        return self._firmware.new_packet_id()

    async def until_switched(self, *, on: bool) -> None:
        """Wait until the radio is on, or off."""
        while self.is_on != on:
            await self._changed.park()

    async def until_free(self) -> None:
        """Wait until the queue has a free place or the radio is switched off."""
        while self.is_on and not self.free_places:
            await self._changed.park()

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
        packet = replace(packet, packet_id=packet.packet_id or self.new_packet_id())
        match self._limits.verdict(packet, self.now_s):
            case Limit.REFUSED:
                self._firmware.refuse(packet)
            case Limit.DROPPED:
                self._firmware.drop(packet)
            case Limit.PASSED:
                self._firmware.send(packet)
        return packet.packet_id

    def hear_from_internet(self, packet: Packet) -> None:
        """Take a packet as a gateway does that MQTT brings: it is handled as if heard, and marked for all who hear it.

        It must be closed (`cipher`), as every packet on the air.
        """
        self.medium.catch_up()
        if self.is_on:
            self._firmware.heard(replace(packet, via_mqtt=True), None, 0.0)

    def on_sent(self, packet: Packet, airtime_s: float) -> None:
        """Our transmission ended."""
        self._firmware.sent(airtime_s)

    def on_heard(self, packet: Packet, snr_db: float, airtime_s: float) -> None:
        """A packet arrived whole."""
        self._firmware.heard(packet, snr_db, airtime_s)

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

    def to_client(self, packet: Packet, snr_db: float | None = None) -> None:
        """Hand a packet to the client as soon as the medium's task runs, or keep it for one."""
        self.medium.call_at(self.now_s, lambda: self._hand_over(packet, snr_db))

    def queue_status(self, status: QueueStatus) -> None:
        """Tell the client about the queue as soon as the medium's task runs."""
        self._tell(lambda client: client.queued(status))

    def learnt(self, node: KnownNode) -> None:
        """Tell the client of a node as soon as the medium's task runs."""
        self._tell(lambda client: client.learnt(node))

    def _tell(self, what: Callable[[Client], None]) -> None:
        client = self._client
        self.medium.call_at(self.now_s, lambda: what(client) if client is not None and client is self._client else None)

    def _hand_over(self, packet: Packet, snr_db: float | None) -> None:
        if self._client is not None and self._listening:
            self._client.heard(packet, snr_db)
        elif self.is_on and not (packet.port == TELEMETRY_PORT and packet.sender == self.node_number):
            self._keep(packet, snr_db)

    def _keep(self, packet: Packet, snr_db: float | None) -> None:
        """Keep a packet for a client that is away; when full, a text pushes the oldest out and others are lost."""
        if len(self._kept) >= self._running.kept_packets:
            if packet.port != TEXT_PORT:
                return
            self._kept.popleft()
        self._kept.append((packet, snr_db))

    def _drop_client(self, reason: str) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.gone(reason)

    def _wake(self) -> None:
        self._changed.unpark_all()


def _named(settings: RadioSettings, name: str) -> RadioSettings:
    return replace(
        settings, long_name=settings.long_name or f"Virtual {name}", short_name=settings.short_name or name[:4]
    )
