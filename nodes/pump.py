"""Session to bearer and back: the only place that sends.

Owns one session on one bearer. Takes packets as the airtime budget and the bearer allow, hands arriving frames and
due timers to the session, and every event to its owner.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import trio

from nodes.interfaces import Bearer, Cost, Received
from nodes.trace import Trace
from protocol import limits
from protocol.budget import AirtimeBudget
from protocol.errors import LocalError
from protocol.events import Dropped, Event
from protocol.messages import Ask
from protocol.outbox import Packet
from protocol.peers import PeerTable
from protocol.session import Session

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["Pump"]

_RETRY_S = 2.0
"""Pause after the bearer failed to send."""


@dataclass(slots=True)
class _Account:
    """What one of our questions has cost."""

    peer: str
    cost: Cost = field(default_factory=Cost)


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
        coder: TextCoder | None = None,
    ) -> None:
        """`handle` gets every event but Dropped, which is traced; `changed` hears of the bearer. Neither may block.

        `coder` makes texts compact.
        """
        self.bearer = bearer
        self.budget = AirtimeBudget(trio.current_time(), share=airtime_share, region=bearer.region)
        self.session = Session(rng=rng, path_time=bearer.path_time_s, serves=serves, coder=coder)
        self.peers = PeerTable()
        """Who was heard on this bearer."""
        self._airtime_share = airtime_share
        self._changed = changed
        self._trace = trace
        self._handle = handle
        self._accounts: dict[int, _Account] = {}
        """By question, the oldest first."""
        self._in_hand = 0
        """Packets taken from the session and not yet sent, 0 or 1."""
        self._air = trio.Lock()
        """Held by whoever sends or waits for the budget to allow it: turns come first come, first served."""
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

    def open_account(self, ask_id: int, peer: str) -> None:
        """From now on, count what our question to `peer` costs."""
        self._accounts[ask_id] = _Account(peer)

    def cost_of(self, ask_id: int) -> Cost:
        """What the question cost the mesh so far: own sends counted, relays computed from the hops.

        A frame that does not say whose it is counts for the oldest open question to that peer.
        """
        return self._accounts[ask_id].cost

    def close_account(self, ask_id: int) -> None:
        """Stop counting for a question."""
        del self._accounts[ask_id]

    def air_wait_s(self, message_bytes: int) -> float:
        """Seconds until the budget lets a message leave, after all that waits already; infinity for never."""
        whole, rest = divmod(message_bytes, limits.FRAGMENT_PAYLOAD_BYTES)
        whole += self.session.packets_waiting + self._in_hand
        rest += limits.FRAME_BYTES_MAX - limits.FRAGMENT_PAYLOAD_BYTES
        airtime_s = whole * self._frame_airtime_s + self.bearer.cost(rest).airtime_s
        return self.budget.wait_s(airtime_s, trio.current_time())

    @asynccontextmanager
    async def turn(self, airtime_s: float) -> AsyncIterator[None]:
        """Wait for the air and the budget, and hold the air for something that is no frame, such as a text."""
        async with self._air:
            await self._until_affordable(airtime_s)
            self.budget.spend(airtime_s, trio.current_time())
            yield

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry packets until cancelled; `started()` when the bearer can send."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.bearer.run, self._receive, self._bearer_changed)
            nursery.start_soon(self._send_packets)
            nursery.start_soon(self._watch_timers)
            task_status.started()

    @property
    def _frame_airtime_s(self) -> float:
        return self.bearer.cost(limits.FRAME_BYTES_MAX).airtime_s

    def _bearer_changed(self) -> None:
        if self.bearer.region != self.budget.region:
            self.budget = AirtimeBudget(trio.current_time(), share=self._airtime_share, region=self.bearer.region)
        self._changed()
        self.wake()

    def _receive(self, received: Received) -> None:
        if not received.broadcast:
            self._charge(received.peer, None, self.bearer.cost(len(received.frame)) * max(1, received.hops))
        self.session.receive(received.frame, received.peer, trio.current_time(), hops=received.hops)
        self.wake()

    def _charge(self, peer: str, ask_id: int | None, cost: Cost) -> None:
        account = self._accounts.get(ask_id) if ask_id is not None else None
        account = account or next((account for account in self._accounts.values() if account.peer == peer), None)
        if account is not None:
            account.cost += cost

    async def _send_packets(self) -> None:
        while True:
            packet = None if self.bearer.problem else self.session.next_packet()
            if packet is None:
                await self._sender.park()
                continue
            self._in_hand = 1
            async with self._air:
                await self._until_it_may_leave(packet)
                if packet.kind != Ask.__name__ or packet.ask_id in self._accounts:  # else given up meanwhile
                    await self._send(packet)
            self._in_hand = 0

    async def _until_it_may_leave(self, packet: Packet) -> None:
        """Wait for the budget and the bearer.

        All of a message leaves together: a peer would ask, again and again, for the rest of one that comes in dribs
        and drabs, and forget its beginning.
        """
        airtime_s = self.bearer.cost(len(packet.frame)).airtime_s
        rest_s = (packet.total - 1) * self._frame_airtime_s if packet.index == 0 else 0.0
        together_s = max(airtime_s, min(airtime_s + rest_s, self.budget.hour_s))
        await self._until_affordable(together_s)
        while self.bearer.problem:
            await self._sender.park()

    async def _until_affordable(self, airtime_s: float) -> None:
        wait_s = self.budget.wait_s(airtime_s, trio.current_time())
        if 0 < wait_s < float("inf"):
            self._trace.note("airtime.waiting", wait_s=round(wait_s, 1))
        await trio.sleep(wait_s)

    async def _send(self, packet: Packet) -> None:
        cost = self.bearer.cost(len(packet.frame))
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
                self._charge(packet.peer, packet.ask_id, cost * max(1, hops))
        self.session.packet_sent(packet, trio.current_time())
        self.wake()

    async def _watch_timers(self) -> None:
        while True:
            due = self.session.next_timer()
            with trio.move_on_at(float("inf") if due is None else due):
                await self._timer.park()
            self.session.handle_timer(trio.current_time())
            self.wake()
