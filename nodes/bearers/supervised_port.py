"""Keeps a radio connected through a driver that blocks and has threads of its own: retries, liveness, flow control.

Everything here runs on trio; the driver's calls run in worker threads and its reports come in from any thread. It knows
nothing of the library behind the driver (`nodes.bearers.meshtastic_port`) and nothing of frames.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import trio

from nodes.bearers.deliveries import routing_error_of_status
from nodes.interfaces import (
    OutgoingPacket,
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
)
from nodes.trace import Trace
from protocol.errors import LocalError

__all__ = ["Configured", "Driver", "Lost", "QueueReport", "Report", "SupervisedPort", "Unread"]

_PAUSE_S_MIN, _PAUSE_S_MAX = 1.0, 30.0
_CONFIGURE_S, _CLOSE_S = 30.0, 3.0
_HEARTBEAT_S, _SILENCE_S = 20.0, 60.0
_ASK_AGAIN_S = 2.0
"""A radio does not say when its full queue has room again: how often it is asked."""
_NODE_INFO_PORT, _TRACEROUTE_PORT = 4, 70


@dataclass(frozen=True, slots=True)
class Configured:
    """The radio is connected and has said what it is."""

    info: RadioInfo


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The radio's word on its queue, after each packet and each heartbeat."""

    packet_id: int
    """0 for a heartbeat."""
    error: int
    free: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Something arrived that can't be understood, and was dropped."""

    why: str


Report = Configured | QueueReport | RadioPacket | RadioAck | RadioLoad | RadioNode | RadioRoute | Lost | Unread


class Driver(ABC):
    """One connection to a radio. Every method may block and is called in a worker thread.

    They raise LocalError for what the user must mend and OSError, its text in plain words, when the link is broken.
    """

    @abstractmethod
    def open(self, tell: Callable[[Report], None]) -> None:
        """Connect and ask for the configuration; `tell` takes reports from any thread from now on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, also while another call hangs. Raises nothing."""

    @abstractmethod
    def new_packet_id(self) -> int:
        """Return a fresh packet id, without blocking."""

    @abstractmethod
    def own_node_info(self) -> bytes:
        """Meshtastic's `User` message of the radio itself, without blocking."""

    @abstractmethod
    def write(self, packet: OutgoingPacket | None) -> None:
        """Write one packet, or with None a heartbeat, which the radio answers with a queue report."""


class SupervisedPort(RadioPort):
    """A radio behind drivers that `make_driver` makes, one for each connection."""

    def __init__(self, make_driver: Callable[[], Driver], trace: Trace) -> None:
        self._make_driver = make_driver
        self._trace = trace
        self._link: _Link | None = None
        self._info: RadioInfo | None = None
        """What the radio last said it is."""

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Hold the radio until cancelled, trying at ever longer intervals where it does not answer.

        Raises LocalError for what waiting can't mend, unless the radio was there before: then it may come back.
        """

        def tell(event: RadioEvent) -> None:
            if isinstance(event, RadioUp):
                self._note_changes(event.info)
            deliver(event)

        pause_s, told, was_up = _PAUSE_S_MIN, "", False
        while True:
            self._link = link = _Link(self._make_driver(), tell, self._trace)
            try:
                reason = await link.run()
            except LocalError as error:
                if not was_up:
                    raise
                reason = error.what
            if link.info is not None:
                pause_s, told, was_up = _PAUSE_S_MIN, "", True
            if reason != told:
                deliver(RadioDown(reason))
                told = reason
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Hand one data packet to the radio; see RadioPort."""
        if self._link is None:
            raise LocalError("the radio is not connected", "nobody has opened it yet")
        return await self._link.hand_over(packet)

    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """Send our radio's own node information and ask for that one's; see RadioPort."""
        if self._link is None or self._link.info is None:
            raise LocalError("the radio is not connected", "it has not answered yet")
        own = self._link.own_node_info()
        await self.transmit(own, to=number, port=_NODE_INFO_PORT, channel=channel, want_response=True)

    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """Send an empty route, which each relay adds itself to; see RadioPort."""
        await self.transmit(b"", to=number, port=_TRACEROUTE_PORT, channel=channel, want_response=True)

    def _note_changes(self, info: RadioInfo) -> None:
        """Trace that another radio came back, or the same one with another region: both change who may hear us."""
        before, self._info = self._info, info
        if before is not None and before.node_number != info.node_number:
            self._trace.note("radio.replaced", was=f"!{before.node_number:08x}", now=f"!{info.node_number:08x}")
        if before is not None and before.region != info.region:
            self._trace.note("radio.region_changed", was=before.region, now=info.region)


class _Link:
    """One connection, from opening to loss."""

    def __init__(self, driver: Driver, deliver: Callable[[RadioEvent], None], trace: Trace) -> None:
        self.info: RadioInfo | None = None
        self._driver, self._deliver, self._trace = driver, deliver, trace
        self._token = trio.lowlevel.current_trio_token()
        self._told, self._reports = trio.open_memory_channel[Report](math.inf)
        self._outbox, self._unsent = trio.open_memory_channel[OutgoingPacket | None](0)
        self._up, self._lost, self._queue_told = trio.Event(), trio.Event(), trio.Event()
        self._reason = "the radio has not answered yet"
        self._heard_at_s = trio.current_time()
        self._free = 1
        self._unreported: deque[int] = deque()
        """Ids of packets (0 for a heartbeat) written since the queue report that said `_free`, in order."""

    async def run(self) -> str:
        """Connect, serve until the radio is lost, and return why. Raises the driver's LocalError."""
        try:
            await trio.to_thread.run_sync(self._driver.open, self._tell, abandon_on_cancel=True)
            async with trio.open_nursery() as nursery:
                for task in (self._hear, self._write, self._stay_alive):
                    nursery.start_soon(task)
                await self._lost.wait()
                nursery.cancel_scope.cancel()
        except OSError as error:
            self._lose(str(error))
        finally:
            self._lost.set()
            for channel in (self._told, self._reports, self._outbox, self._unsent):
                channel.close()
            with trio.move_on_after(_CLOSE_S, shield=True):
                await trio.to_thread.run_sync(self._driver.close, abandon_on_cancel=True)
        return self._reason

    def own_node_info(self) -> bytes:
        """Meshtastic's `User` message of the radio itself."""
        return self._driver.own_node_info()

    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Wait for room in the radio's queue and send; returns the packet's id."""
        await trio.lowlevel.checkpoint()
        try:
            while not self._has_room() and not self._lost.is_set():
                await self._ask_for_room()
            if self.info is None or self._lost.is_set():
                raise trio.ClosedResourceError
            limit = self.info.hop_limit if packet.hop_limit is None else packet.hop_limit
            packet = replace(packet, packet_id=self._driver.new_packet_id(), hop_limit=limit)
            await self._send(packet)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise LocalError("the radio is gone", self._reason, "it is looked for; try again when it is back") from None
        return packet.packet_id

    def _has_room(self) -> bool:
        return self._free > sum(1 for packet_id in self._unreported if packet_id)

    async def _ask_for_room(self) -> None:
        told = self._queue_told
        with trio.move_on_after(_ASK_AGAIN_S) as waiting:
            await told.wait()
        if waiting.cancelled_caught:
            await self._send(None)

    async def _send(self, packet: OutgoingPacket | None) -> None:
        """Pass a packet, or a heartbeat, to the task that writes."""
        packet_id = packet.packet_id if packet else 0
        self._unreported.append(packet_id)
        try:
            await self._outbox.send(packet)
        except BaseException:
            self._unreported.remove(packet_id)
            raise

    async def _hear(self) -> None:
        async for report in self._reports:
            self._heard_at_s = trio.current_time()
            match report:
                case Configured(info):
                    self.info = info
                    self._up.set()
                    self._deliver(RadioUp(info))
                case Lost(reason):
                    self._lose(reason)
                case Unread(why):
                    self._trace.note("radio.unread", why=why)
                case QueueReport():
                    self._note_queue(report)
                case _ if self.info is not None:
                    self._deliver(report)

    def _note_queue(self, report: QueueReport) -> None:
        """Reports come in order, but in a burst the radio overwrites those that we did not read in time."""
        if report.packet_id in self._unreported:
            while self._unreported.popleft() != report.packet_id:
                pass
        self._free = report.free
        self._queue_told.set()
        self._queue_told = trio.Event()
        if report.error and self.info is not None:
            error = routing_error_of_status(report.error)
            self._deliver(RadioAck(report.packet_id, self.info.node_number, error))

    async def _write(self) -> None:
        """The only task that writes: a write that hangs ends with the connection, whoever asked for it."""
        async for packet in self._unsent:
            try:
                await trio.to_thread.run_sync(self._driver.write, packet, abandon_on_cancel=True)
            except OSError as error:
                self._lose(str(error))

    async def _stay_alive(self) -> None:
        with trio.move_on_after(_CONFIGURE_S):
            await self._up.wait()
        if not self._up.is_set():
            self._lose("what is connected does not answer like a Meshtastic radio")
        while trio.current_time() - self._heard_at_s < _SILENCE_S:
            with trio.move_on_after(_HEARTBEAT_S):
                await self._send(None)
                await trio.sleep_forever()
        self._lose(f"the radio was silent for {_SILENCE_S:.0f} s")

    def _lose(self, reason: str) -> None:
        if not self._lost.is_set():
            self._reason = reason
            self._lost.set()
            self._queue_told.set()

    def _tell(self, report: Report) -> None:
        """Take a report from any thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._take, report)

    def _take(self, report: Report) -> None:
        with suppress(trio.ClosedResourceError):
            self._told.send_nowait(report)
