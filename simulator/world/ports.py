"""A node's radio port with the troubles of real ones: packets twice, late, damaged, a cable pulled, a node that hangs.

Sits between the real radio bearer and the virtual radio. What goes wrong, and when, is `simulator.world.faults`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import trio

from nodes.bearers.radio import PRIVATE_PORT
from nodes.interfaces import OutgoingPacket, RadioDown, RadioEvent, RadioPacket, RadioPort, RadioUp
from protocol.errors import LocalError
from simulator.device import VirtualRadio
from simulator.radio import VirtualRadioPort

__all__ = ["TroubledPort"]

_LATE_S = 20.0
"""A packet that is handed over late is so at the latest after this."""


class TroubledPort(RadioPort):
    """The port of one virtual radio; without trouble it adds nothing."""

    def __init__(self, radio: VirtualRadio) -> None:
        self.radio = radio
        self._port = VirtualRadioPort(radio)
        self._deliver: Callable[[RadioEvent], None] | None = None
        self._troubles: deque[str] = deque()
        """What befalls the next packets: `duplicate`, `reorder` or `corrupt`."""
        self._late: list[RadioPacket] = []
        self._waiting: deque[RadioEvent] = deque()
        self._frozen = False
        self._plugged = True
        self._changed = trio.lowlevel.ParkingLot()

    def trouble_next(self, kind: str) -> None:
        """Let the next packet of meshai's come twice (`duplicate`), after the next one (`reorder`) or damaged."""
        self._troubles.append(kind)

    def freeze(self, *, frozen: bool) -> None:
        """Let the node behind this port neither hear nor send for a while, and then hear all at once."""
        self._frozen = frozen
        if not frozen:
            while self._waiting and self._deliver is not None:
                self._deliver(self._waiting.popleft())
            self._changed.unpark_all()

    def plug(self, *, plugged: bool) -> None:
        """Pull the cable between node and radio, or put it back."""
        if plugged == self._plugged:
            return
        self._plugged = plugged
        if self._deliver is not None:
            self._deliver(RadioUp(self._port.info) if plugged else RadioDown("the cable was pulled"))

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Hold the radio until cancelled; see RadioPort."""
        self._deliver = deliver
        try:
            await self._port.run(self._take)
        finally:
            self._deliver = None
            self._waiting.clear()
            self._late.clear()

    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Hand a packet to the radio; see RadioPort."""
        await self._until_awake()
        if not self._plugged:
            raise LocalError("the radio is gone", "its cable was pulled", "put it back")
        return await self._port.hand_over(packet)

    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """See RadioPort."""
        await self._until_awake()
        await self._port.request_node_info(number, channel=channel)

    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """See RadioPort."""
        await self._until_awake()
        await self._port.trace_route(number, channel=channel)

    async def _until_awake(self) -> None:
        while self._frozen:
            await self._changed.park()

    def _take(self, event: RadioEvent) -> None:
        if not self._plugged and not isinstance(event, RadioUp | RadioDown):
            return
        if isinstance(event, RadioPacket) and event.port == PRIVATE_PORT and (self._troubles or self._late):
            for one in self._troubled(event):
                self._pass(one)
        else:
            self._pass(event)

    def _troubled(self, packet: RadioPacket) -> list[RadioPacket]:
        """The packets that come in the place of this one."""
        late, self._late = self._late, []
        kind = self._troubles.popleft() if self._troubles else ""
        if kind == "reorder":
            self._late.append(packet)
            self.radio.call_at(self.radio.now_s + _LATE_S, self._hand_over_late)
            return late
        if kind == "corrupt" and packet.payload:
            place = packet.packet_id % len(packet.payload)
            damaged = packet.payload[place] ^ (1 << packet.packet_id % 8)
            packet = replace(packet, payload=packet.payload[:place] + bytes((damaged,)) + packet.payload[place + 1 :])
        return [packet, *([packet] if kind == "duplicate" else []), *late]

    def _hand_over_late(self) -> None:
        late, self._late = self._late, []
        for packet in late:
            self._pass(packet)

    def _pass(self, event: RadioEvent) -> None:
        if self._frozen:
            self._waiting.append(event)
        elif self._deliver is not None:
            self._deliver(event)
