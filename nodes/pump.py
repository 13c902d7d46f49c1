"""Session to bearer and back: the only place that sends.

Owns one session on one bearer. Takes packets as the airtime budget and the bearer allow, hands arriving frames and
due timers to the session, and every event to its owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random

import trio

from nodes.interfaces import Bearer, Cost, Received
from nodes.trace import Trace
from protocol.budget import AirtimeBudget
from protocol.errors import LocalError
from protocol.events import Dropped, Event
from protocol.outbox import Packet
from protocol.session import Session

__all__ = ["Pump"]

_RETRY_S = 2.0
"""Pause after the bearer failed to send."""


class Pump:
    """Runs one session over one bearer."""

    def __init__(
        self,
        bearer: Bearer,
        airtime_share: float,
        *,
        rng: Random,
        trace: Trace,
        serves: Callable[[str], bool],
        handle: Callable[[Pump, Event], None],
        changed: Callable[[], None],
    ) -> None:
        """`handle` gets every event but Dropped, which is traced; `changed` hears of the bearer. Neither may block."""
        self.bearer = bearer
        self.budget = AirtimeBudget(trio.current_time(), share=airtime_share, region=bearer.region)
        self._airtime_share = airtime_share
        self._changed = changed
        self.session = Session(rng=rng, path_time=bearer.path_time_s, serves=serves)
        self._trace = trace
        self._handle = handle
        self._spent: defaultdict[str, Cost] = defaultdict(Cost)
        self._sender = trio.lowlevel.ParkingLot()
        self._timer = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        """Look at the session again: something was asked of it. Also hands out its events."""
        while (event := self.session.next_event()) is not None:
            if isinstance(event, Dropped):
                self._trace.note("frame.dropped", peer=event.peer, why=event.why)
            else:
                self._handle(self, event)
        self._sender.unpark_all()
        self._timer.unpark_all()

    def spent_with(self, peer: str) -> Cost:
        """What frames to and from `peer` cost the mesh so far: own sends counted, relays computed from the hops."""
        return self._spent[peer]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry packets until cancelled; `started()` when the bearer can send."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.bearer.run, self._receive, self._bearer_changed)
            nursery.start_soon(self._send_packets)
            nursery.start_soon(self._watch_timers)
            task_status.started()

    def _bearer_changed(self) -> None:
        if self.bearer.region != self.budget.region:
            self.budget = AirtimeBudget(trio.current_time(), share=self._airtime_share, region=self.bearer.region)
        self._changed()

    def _receive(self, received: Received) -> None:
        now = trio.current_time()
        if not received.broadcast:
            self._spent[received.peer] += self.bearer.cost(len(received.frame)) * max(1, received.hops)
        self.session.receive(received.frame, received.peer, now, hops=received.hops)
        self.wake()

    async def _send_packets(self) -> None:
        while True:
            packet = self.session.next_packet()
            if packet is None:
                await self._sender.park()
                continue
            cost = self.bearer.cost(len(packet.frame))
            await self._wait_for_budget(packet, cost)
            hops = self.session.hops_to(packet.peer) if packet.peer else 0
            self.budget.spend(cost.airtime_s, trio.current_time())
            try:
                await self.bearer.send(packet.frame, packet.peer, hops=hops)
            except LocalError as error:
                self._trace.note("packet.not_sent", kind=packet.kind, why=str(error))
                await trio.sleep(_RETRY_S)
            else:
                self._trace.note(
                    "packet.sent",
                    kind=packet.kind,
                    to=packet.peer,
                    part=packet.index + 1,
                    of=packet.total,
                    bytes=len(packet.frame),
                    airtime_s=round(cost.airtime_s, 3),
                )
            if packet.peer:
                self._spent[packet.peer] += cost * max(1, hops)
            self.session.packet_sent(packet, trio.current_time())
            self.wake()

    async def _wait_for_budget(self, packet: Packet, cost: Cost) -> None:
        wait_s = self.budget.wait_s(cost.airtime_s, trio.current_time())
        if wait_s > 0:
            self._trace.note("airtime.waiting", kind=packet.kind, wait_s=round(wait_s, 1))
            await trio.sleep(wait_s)

    async def _watch_timers(self) -> None:
        while True:
            due = self.session.next_timer()
            with trio.move_on_at(float("inf") if due is None else due):
                await self._timer.park()
            self.session.handle_timer(trio.current_time())
            self.wake()
