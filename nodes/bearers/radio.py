"""Frames over a Meshtastic radio: flow control and pace on a shared, slow channel, over any RadioPort.

Knows no questions and no meshtastic library. Frames travel as data packets of Meshtastic's PRIVATE_APP port; a frame
is sent only after the relays should be done with the one before.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from nodes.interfaces import (
    BROADCAST,
    Bearer,
    Cost,
    RadioAck,
    RadioDown,
    RadioEvent,
    RadioInfo,
    RadioPacket,
    RadioPort,
    RadioUp,
    Received,
)
from nodes.trace import Trace
from protocol.airtime import DEFAULT_PRESET, PRESETS, Preset, data_bytes_on_air, path_time_s, time_on_air_s
from protocol.errors import LocalError

__all__ = ["PRIVATE_PORT", "RadioBearer", "address_of", "number_of"]

PRIVATE_PORT = 256
"""Meshtastic's PRIVATE_APP (`portnums.proto`)."""
_PHY_BYTES_MAX = 255
"""Longest LoRa packet."""

_NAK_WORDS = {
    1: "no route",
    2: "the receiver refused it",
    3: "timeout",
    4: "no interface",
    5: "no acknowledgement (unknown whether it arrived)",
    6: "no such channel",
    7: "too large",
    8: "no response",
    9: "the region's duty cycle is used up",
    32: "the radio's queue is full",
    33: "the radio's role or rate limit forbids it",
    38: "the radio's rate limit",
    39: "the receiver's key is not known to the radio",
}
"""`Routing.Error` numbers (`mesh.proto`) in words."""


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

    @property
    def problem(self) -> str:
        """Why the radio can't be used now; empty when it can."""
        return "" if self._up.is_set() else self._down_reason

    @property
    def region(self) -> str:
        """The radio's region, once it told."""
        return self.info.region if self.info else ""

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
            if isinstance(event, RadioUp | RadioDown):
                changed()

        task_status.started()
        await self._port.run(take)

    async def send(self, frame: bytes, to: str | None, *, hops: int = 0) -> None:
        """Send one frame and wait until it, and its relays, should have left the air."""
        await self._up.wait()
        number = BROADCAST if to is None else number_of(to)
        await self._port.transmit(frame, to=number, port=PRIVATE_PORT)
        await trio.sleep(self.path_time_s(len(frame), max(1, hops)))

    def _take(self, event: RadioEvent, deliver: Callable[[Received], None]) -> None:
        match event:
            case RadioUp(info):
                self.info = info
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
                    words = _NAK_WORDS.get(event.error, f"error {event.error}")
                    self._trace.note("radio.nak", packet=event.packet_id, why=words)
            case RadioPacket():
                own = self.info is not None and event.sender == self.info.node_number
                if event.port == PRIVATE_PORT and not own:
                    to_all = event.to == BROADCAST
                    deliver(Received(event.payload, address_of(event.sender), to_all, event.hops, event.snr_db))
