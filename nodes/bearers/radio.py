"""Frames over a Meshtastic radio: flow control and pace on a shared, slow channel, over any RadioPort.

Knows no questions and no meshtastic library. Frames travel as data packets of Meshtastic's PRIVATE_APP port; a frame
is sent only after the relays should be done with the one before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from nodes.bearers.deliveries import DUTY_CYCLE, KEY_UNKNOWN, NO_CHANNEL, Delivery, Expected, nak_words
from nodes.interfaces import (
    BROADCAST,
    Bearer,
    Cost,
    RadioAck,
    RadioDown,
    RadioEvent,
    RadioInfo,
    RadioLoad,
    RadioNode,
    RadioPacket,
    RadioPort,
    RadioRoute,
    RadioUp,
    Received,
)
from nodes.radio_check import dropping_router
from nodes.trace import Trace
from protocol import limits
from protocol.airtime import DEFAULT_PRESET, PRESETS, Preset, data_bytes_on_air, path_time_s, time_on_air_s
from protocol.errors import LocalError, RemoteError

__all__ = ["PRIVATE_PORT", "TEXT_PORT", "RadioBearer", "address_of", "number_of"]

PRIVATE_PORT = 256
"""Meshtastic's PRIVATE_APP (`portnums.proto`)."""
TEXT_PORT = 1
"""Meshtastic's TEXT_MESSAGE_APP."""
_PHY_BYTES_MAX = 255
"""Longest LoRa packet."""
_ACK_PATIENCE, _ACK_PATIENCE_S = 3, 25.0
"""An acknowledgement is waited for this many times the path's time and so much more: the firmware tries for 22 s."""


_ANSWER_PATIENCE = 3
"""What the mesh is asked about a radio comes within this many times the path's time, or is not waited for."""
_DUTY_CYCLE_PAUSE_S = 60.0
_KEY_REST_S = 60.0
"""One radio's key is asked for once in this time."""
_NAK_FIXES = {
    NO_CHANNEL: "run `meshai radio setup`",
    DUTY_CYCLE: "wait: the hour passes",
    KEY_UNKNOWN: "open that node in the Meshtastic app and exchange user info with it",
}


@dataclass(slots=True)
class _Wanted:
    """Something that the mesh was asked about a radio."""

    number: int
    kind: type[RadioNode | RadioRoute]
    answer: RadioNode | RadioRoute | None = None
    told: trio.Event = field(default_factory=trio.Event)


def _bound(remembered: OrderedDict[int, Any]) -> None:
    """Forget the oldest of what is remembered of radios."""
    while len(remembered) > limits.PEERS_MAX:
        remembered.popitem(last=False)


def address_of(node_number: int) -> str:
    """Meshtastic's way to write a node number: `!` and eight hex digits."""
    return f"!{node_number:08x}"


def number_of(address: str) -> int:
    """Inverse of `address_of`; raises LocalError when `address` is none."""
    digits = address.removeprefix("!").removeprefix("0x")
    try:
        number = int(digits, 16)
    except ValueError:
        number = 0
    if len(digits) != 8 or not 0 < number < BROADCAST:
        raise LocalError(
            f"{address!r} is no radio's number",
            "it is written as ! and eight hex digits",
            "look it up in the Meshtastic app, or with `meshtastic --nodes`",
        )
    return number


class RadioBearer(Bearer):
    """The bearer over one radio."""

    name = "radio"

    def __init__(self, port: RadioPort, trace: Trace) -> None:
        self._port = port
        self._trace = trace
        self._preset: Preset = DEFAULT_PRESET
        self._up = trio.Event()
        self.info: RadioInfo | None = None
        """What the radio last said of itself; None before the first connection."""
        self._down_reason = "the radio has not answered yet"
        self._silence = ""
        """Why nothing may be sent by the radio though it is there."""
        self._channel = 0
        """Index of the channel for our frames."""
        self._load: RadioLoad | None = None
        self._listeners: dict[int, Callable[[RadioPacket], None]] = {}
        """By port, who takes what is no frame."""
        self._expected: dict[int, Expected] = {}
        """By packet id."""
        self._nodes: OrderedDict[int, RadioNode] = OrderedDict()
        """What the radio told of others, the latest last."""
        self._wanted: list[_Wanted] = []
        self._key_asked_at: OrderedDict[int, float] = OrderedDict()
        self._held = trio.Event()
        """Set while the law lets the radio send nothing."""

    @property
    def problem(self) -> str:
        """Why the radio can't be used now; empty when it can."""
        if not self._up.is_set():
            return self._down_reason
        if self._silence:
            return self._silence
        return nak_words(DUTY_CYCLE) if self._held.is_set() else ""

    @property
    def connected(self) -> bool:
        """Whether the radio is there."""
        return self._up.is_set()

    @property
    def region(self) -> str:
        """The radio's region, once it told."""
        return self.info.region if self.info else ""

    @property
    def load(self) -> RadioLoad | None:
        """How busy the radio last said that the channel is."""
        return self._load

    def cost(self, frame_bytes: int) -> Cost:
        """One transmission of a frame, from the preset and Meshtastic's own overhead."""
        # Other programs' packets on our port can be longer than firmware of today lets pass.
        phy_bytes = min(data_bytes_on_air(frame_bytes, PRIVATE_PORT), _PHY_BYTES_MAX)
        return Cost(1, phy_bytes, time_on_air_s(self._preset, phy_bytes))

    def path_time_s(self, frame_bytes: int, hops: int) -> float:
        """Seconds for a frame to cross `hops` transmissions at this radio's preset."""
        return path_time_s(self._preset, data_bytes_on_air(frame_bytes, PRIVATE_PORT), hops)

    async def run(
        self,
        deliver: Callable[[Received], None],
        changed: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Own the radio until cancelled. Ready at once: a radio that is away is waited for."""

        def take(event: RadioEvent) -> None:
            self._take(event, deliver)
            if isinstance(event, RadioUp | RadioDown | RadioLoad):
                changed()

        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hold, changed)
            await self._port.run(take)

    async def _hold(self, changed: Callable[[], None]) -> None:
        """While the region's duty cycle is used up, be out of use."""
        while True:
            await self._held.wait()
            changed()
            await trio.sleep(_DUTY_CYCLE_PAUSE_S)
            self._held = trio.Event()
            changed()

    async def send(self, frame: bytes, to: str | None, *, hops: int = 0) -> None:
        """Send one frame and wait until it, and its relays, should have left the air.

        Raises LocalError when the radio refuses it; a receiver's key that the radio lacks is fetched first.
        """
        await self._up.wait()
        number = BROADCAST if to is None else number_of(to)
        error = await self._send_once(frame, number, hops)
        if error == KEY_UNKNOWN and await self._fetch_key(number, hops):
            error = await self._send_once(frame, number, hops)
        if error == DUTY_CYCLE:
            self._held.set()
        if error:
            raise LocalError("the radio did not send", nak_words(error), _NAK_FIXES.get(error, ""))

    async def diagnose(self, to: str, *, hops: int = 0) -> RemoteError | None:
        """Trace the route to a silent peer: whoever lets that pass and drops our frames is named."""
        number = number_of(to)
        await self._up.wait()
        ask = self._port.trace_route(number, channel=self._channel)
        route = await self._answer_about(number, RadioRoute, ask, hops)
        finding = dropping_router(route, self._nodes) if isinstance(route, RadioRoute) else None
        return RemoteError(finding.what, finding.why, finding.fix) if finding else None

    def listen(self, port: int, take: Callable[[RadioPacket], None]) -> None:
        """Hand every packet on `port` that others send to `take`, which may not block."""
        self._listeners[port] = take

    async def deliver(
        self, payload: bytes, to: str | None, *, port: int, channel: int = 0, reply_id: int = 0, hops: int = 0
    ) -> Delivery:
        """Send something that is no frame and wait for what becomes of it; to one radio, with acknowledgement.

        Returns after the path's time where nobody acknowledges (`to` None). Where the radio lacks the receiver's key,
        that is fetched for the next time. Raises LocalError when the radio is gone.
        """
        await self._up.wait()
        number = BROADCAST if to is None else number_of(to)
        wants_ack = to is not None
        packet_id = await self._port.transmit(
            payload, to=number, port=port, channel=channel, want_ack=wants_ack, reply_id=reply_id
        )
        crossing_s = path_time_s(self._preset, data_bytes_on_air(len(payload), port), max(1, hops))
        patience_s = _ACK_PATIENCE * crossing_s + _ACK_PATIENCE_S if wants_ack else crossing_s
        delivery = await self._fate(packet_id, number, patience_s)
        if delivery.error == KEY_UNKNOWN:
            await self._fetch_key(number, hops)
        return delivery

    async def _send_once(self, frame: bytes, number: int, hops: int) -> int:
        """Send a frame and return the `Routing.Error` of our own radio, 0 for none."""
        reach = hops - 1 if number == BROADCAST and hops and self.info else None
        packet_id = await self._port.transmit(
            frame,
            to=number,
            port=PRIVATE_PORT,
            channel=self._channel,
            hop_limit=None if reach is None or self.info is None else min(reach, self.info.hop_limit),
        )
        delivery = await self._fate(packet_id, number, self.path_time_s(len(frame), max(1, hops)))
        return delivery.error

    async def _fate(self, packet_id: int, number: int, patience_s: float) -> Delivery:
        expected = self._expected[packet_id] = Expected(number)
        try:
            return await expected.delivery(patience_s)
        finally:
            del self._expected[packet_id]

    async def _fetch_key(self, number: int, hops: int) -> bool:
        """Exchange node information with a radio whose key ours lacks; False when that is no use now."""
        now = trio.current_time()
        if now - self._key_asked_at.get(number, -_KEY_REST_S) < _KEY_REST_S:
            return False
        self._key_asked_at[number] = now
        _bound(self._key_asked_at)
        self._trace.note("radio.key_asked", peer=address_of(number))
        ask = self._port.request_node_info(number, channel=self._channel)
        node = await self._answer_about(number, RadioNode, ask, hops)
        return isinstance(node, RadioNode) and node.has_key

    async def _answer_about(
        self, number: int, kind: type[RadioNode | RadioRoute], ask: Awaitable[None], hops: int
    ) -> RadioNode | RadioRoute | None:
        """Ask the mesh about a radio and return what is told of it, or None when nothing is."""
        wanted = _Wanted(number, kind)
        self._wanted.append(wanted)
        try:
            await ask
            with trio.move_on_after(
                _ANSWER_PATIENCE * self.path_time_s(limits.FRAME_BYTES_MAX, hops or limits.HOPS_ASSUMED)
            ):
                await wanted.told.wait()
            return wanted.answer
        finally:
            self._wanted.remove(wanted)

    def _take(self, event: RadioEvent, deliver: Callable[[Received], None]) -> None:
        match event:
            case RadioUp(info, channel, silence):
                self.info, self._channel, self._silence = info, channel, silence
                self._preset = PRESETS.get(info.preset, DEFAULT_PRESET)
                self._up.set()
                self._trace.note("radio.up", node=address_of(info.node_number), preset=info.preset, region=info.region)
            case RadioDown(reason):
                if self._up.is_set():
                    self._up = trio.Event()
                self._down_reason = reason
                self._trace.note("radio.down", why=reason)
            case RadioAck():
                if event.error:
                    self._trace.note("radio.nak", packet=event.packet_id, why=nak_words(event.error))
                if (expected := self._expected.get(event.packet_id)) is not None:
                    expected.take(event)
            case RadioNode() | RadioRoute():
                self._learn(event)
            case RadioLoad():
                self._load = event
            case RadioPacket():
                self._take_packet(event, deliver)

    def _learn(self, event: RadioNode | RadioRoute) -> None:
        """Note what the radio told of another radio, and wake who asked for it."""
        if isinstance(event, RadioNode):
            self._nodes[event.number] = event
            self._nodes.move_to_end(event.number)
            _bound(self._nodes)
        for wanted in self._wanted:
            if wanted.number == event.number and isinstance(event, wanted.kind):
                wanted.answer = event
                wanted.told.set()

    def _take_packet(self, packet: RadioPacket, deliver: Callable[[Received], None]) -> None:
        if packet.via_mqtt:
            self._trace.note("packet.ignored", peer=address_of(packet.sender), why="it came over the internet")
        elif self.info is not None and packet.sender == self.info.node_number:
            return
        elif packet.port == PRIVATE_PORT:
            to_all = packet.to == BROADCAST
            deliver(Received(packet.payload, address_of(packet.sender), to_all, packet.hops, packet.snr_db))
        elif packet.port in self._listeners:
            self._listeners[packet.port](packet)
