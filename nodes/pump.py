"""Session to bearer and back: the only place that sends.

Owns one session on one bearer. Takes packets as the airtime budget and the bearer allow, hands arriving frames and
due timers to the session, and every event to its owner. A silent pump sends nothing at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import trio

from nodes.interfaces import Bearer, Cost, RadioLoad, Received
from nodes.trace import Trace
from nodes.turns import Claim, Shares, Turns
from protocol import limits
from protocol.airtime import transmissions
from protocol.budget import AirtimeBudget
from protocol.errors import LocalError
from protocol.events import Dropped, Event
from protocol.messages import AnswerDone, AnswerPiece, Ask, Beacon, Who
from protocol.outbox import Packet
from protocol.peers import PeerTable
from protocol.session import Session

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["Pump"]

_RETRY_S = 2.0
"""Pause after the bearer failed to send."""
_SILENT = "this node is silent"


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
        self.compact = coder is not None
        """Whether texts are made compact."""
        self.budget = AirtimeBudget(trio.current_time(), share=airtime_share, region=bearer.region)
        self.session = Session(
            rng=rng,
            path_time=bearer.path_time_s,
            serves=serves,
            coder=coder,
            busy=lambda: self.budget.is_crowded(trio.current_time()),
        )
        self.peers = PeerTable()
        """Who was heard on this bearer."""
        self.shares = Shares()
        """What each asker has had of the air."""
        self.silent = False
        """While True, nothing is sent; see `hush`."""
        self.reach = limits.HOPS_ASSUMED + 1
        """Transmissions that a broadcast may take on its way."""
        self._changed = changed
        self._trace = trace
        self._handle = handle
        self._accounts: dict[int, _Account] = {}
        """By question, the oldest first."""
        self._in_hand: Packet | None = None
        """Taken from the session and not yet sent."""
        self._announced = (0, 0.0)
        """The backlog that our last beacon told, and when."""
        self._load: RadioLoad | None = None
        self._turns = Turns(self.budget, self.shares, rng, trace)
        self._sent = trio.lowlevel.ParkingLot()
        self._timer = trio.lowlevel.ParkingLot()

    @property
    def problem(self) -> str:
        """Why nothing can be sent now, in plain words; empty when it can."""
        return _SILENT if self.silent else self.bearer.problem

    @property
    def crowd(self) -> str | None:
        """How much of the air is in use, such as `31 %`, where others have used much of it of late; else None."""
        now = trio.current_time()
        if self.bearer.load is None or not self.budget.is_crowded(now):
            return None
        return f"{self.budget.utilisation_percent(now):.0f} %"

    def hush(self, *, silent: bool) -> None:
        """Send nothing from now on, or speak again. What waited is withdrawn."""
        self.silent = silent
        self.wake()

    def wake(self) -> None:
        """Look at the session again: something was asked of it. Also hands out its events."""
        while (event := self.session.next_event()) is not None:
            if isinstance(event, Dropped):
                self._trace.note("frame.dropped", peer=event.peer, why=event.why)
            else:
                self._handle(self, event)
        self._sent.unpark_all()
        self._timer.unpark_all()
        self._turns.look_again()

    def announce(self, beacon: Beacon) -> None:
        """Announce this node."""
        self._announced = (beacon.backlog_s, trio.current_time())
        self.session.announce(beacon)
        self.wake()

    def announced_backlog_s(self) -> float:
        """The wait that whoever heard our last beacon counts on."""
        backlog_s, at = self._announced
        return max(0.0, backlog_s - (trio.current_time() - at))

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

    def airtime_s(self, message_bytes: int) -> float:
        """Seconds of air, relays not counted, that a message of so many bytes takes."""
        whole, rest = divmod(max(message_bytes, 1) - 1, limits.FRAGMENT_PAYLOAD_BYTES)
        last_bytes = rest + 1 + limits.FRAME_BYTES_MAX - limits.FRAGMENT_PAYLOAD_BYTES
        return whole * self._frame_airtime_s + self.bearer.cost(last_bytes).airtime_s

    def transmissions(self, peer: str | None) -> float:
        """How often a packet to `peer` goes on the air here, relays included."""
        return transmissions(self.session.hops_to(peer) or limits.HOPS_ASSUMED if peer else self.reach - 1)

    def air_wait_s(self, message_bytes: int = 0, *, airtime_s: float = 0.0, hops: int = 0, bulk: bool = False) -> float:
        """Seconds until the budget lets a message leave, after all that waits already; infinity for never.

        `airtime_s`: as much air on top, of what does not wait yet; `hops`: how far it goes, 0 when unknown; `bulk`:
        answers are meant.
        """
        airtime_s += self.airtime_s(message_bytes) if message_bytes else 0.0
        waiting = list(self._waiting())
        costs_s = [self.bearer.cost(len(packet.frame)).airtime_s for packet in waiting]
        in_all_s = sum(
            cost_s * self.transmissions(packet.peer) for cost_s, packet in zip(costs_s, waiting, strict=True)
        )
        own_s = sum(costs_s) + airtime_s
        in_all_s += airtime_s * transmissions(hops or limits.HOPS_ASSUMED)
        return self.budget.wait_s(
            own_s, trio.current_time(), transmissions=in_all_s / own_s if own_s else 1, bulk=bulk, evenly=bulk
        )

    def budget_wait_s(self, message_bytes: int, peer: str) -> float:
        """As `air_wait_s`, if nothing waited already."""
        times = self.transmissions(peer)
        return self.budget.wait_s(self.airtime_s(message_bytes), trio.current_time(), transmissions=times, bulk=True)

    async def until_sent(self, peer: str, ask_id: int) -> None:
        """Wait until nothing about that question waits to be sent."""
        while any((packet.peer, packet.ask_id) == (peer, ask_id) for packet in self._waiting()):
            await self._sent.park()

    @asynccontextmanager
    async def turn(
        self, airtime_s: float, *, asker: str = "", hops: int = 0, urgent: bool = False
    ) -> AsyncIterator[None]:
        """Wait for the air and the budget, and hold the air for something that is no frame, such as a text.

        `asker` is the address that it is sent for: who had less air of late comes first. `hops` is the length of its
        path in transmissions, 0 when unknown. What is `urgent` goes with the short replies, before what can wait.
        Raises LocalError when this node is silent.
        """
        if self.silent:
            raise LocalError("nothing was sent", _SILENT, "`meshai quiet --off` lets it speak")
        times = transmissions(hops or limits.HOPS_ASSUMED)
        claim = Claim(asker, airtime_s, times, bulk=not urgent, reply=urgent)
        self._turns.look_again()
        async with self._turns.turn(lambda: claim):
            if self.silent:
                raise LocalError("nothing was sent", _SILENT, "`meshai quiet --off` lets it speak")
            self._spend(asker, airtime_s, times)
            yield

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry packets until cancelled; `started()` when the bearer can send."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.bearer.run, self._receive, self._bearer_changed)
            nursery.start_soon(self._send_packets)
            nursery.start_soon(self._watch_timers)
            task_status.started()

    def _waiting(self) -> Iterator[Packet]:
        yield from self.session.waiting()
        if self._in_hand is not None:
            yield self._in_hand

    @property
    def _frame_airtime_s(self) -> float:
        return self.bearer.cost(limits.FRAME_BYTES_MAX).airtime_s

    def _bearer_changed(self) -> None:
        now = trio.current_time()
        self.budget.move_to(self.bearer.region)
        load = self.bearer.load
        if load is not None and load is not self._load:
            self.budget.told_load(load.channel_utilisation_percent, load.air_util_tx_percent, now)
        self._load = load
        self.neighbours_changed()
        self._changed()
        self.wake()

    def neighbours_changed(self) -> None:
        """Divide the shared air anew among the nodes that answer here."""
        self.budget.share_with(len(self.peers.fresh(trio.current_time())))

    def _receive(self, received: Received) -> None:
        now, cost = trio.current_time(), self.bearer.cost(len(received.frame))
        times = transmissions(max(1, received.hops))
        self.budget.heard(cost.airtime_s, now, transmissions=times, part=self._part_of(received))
        if not received.broadcast:
            self.shares.charge(received.peer, cost.airtime_s * times, now)
            self._charge(received.peer, None, cost * max(1, received.hops))
        self.session.receive(received.frame, received.peer, now, hops=received.hops)
        self.wake()

    def _part_of(self, received: Received) -> float:
        """How much of what was heard counts as ours: nodes that answer count their own news and share what asks all."""
        if not received.broadcast:
            return 1.0
        answering = {peer.address for peer in self.peers.fresh(trio.current_time())}
        return 0.0 if received.peer in answering else 1 / (1 + len(answering))

    def _charge(self, peer: str, ask_id: int | None, cost: Cost) -> None:
        account = self._accounts.get(ask_id) if ask_id is not None else None
        account = account or next((account for account in self._accounts.values() if account.peer == peer), None)
        if account is not None:
            account.cost += cost

    def _spend(self, asker: str, airtime_s: float, times: float) -> None:
        now = trio.current_time()
        self.budget.spend(airtime_s, now, transmissions=times)
        self.shares.charge(asker, airtime_s * times, now)

    def _had_s(self, peer: str | None) -> float:
        return self.shares.had_s(peer or "", trio.current_time())

    async def _send_packets(self) -> None:
        while True:
            async with self._turns.turn(self._claim):
                packet = self.session.next_packet(self._had_s)
                if packet is not None and self._is_wanted(packet):
                    self._in_hand = packet
                    await self._send(packet)
                    self._in_hand = None
            self.wake()

    def _claim(self) -> Claim | None:
        """What the most urgent packet needs before it may leave.

        All of a message leaves together: a peer would ask, again and again, for the rest of one that comes in dribs
        and drabs, and forget its beginning.
        """
        packet = self.session.peek_packet(self._had_s)
        if packet is None or (self.bearer.problem and not self.silent):
            return None
        if not self._is_wanted(packet):
            return Claim("", 0.0, begun=True)  # taken only to be dropped
        airtime_s, times = self.bearer.cost(len(packet.frame)).airtime_s, self.transmissions(packet.peer)
        run_up_s = (packet.total - 1) * self._frame_airtime_s if packet.index == 0 else 0.0
        if packet.index == 0:
            together_s = airtime_s + run_up_s
            airtime_s = max(airtime_s, min(together_s, self.budget.most_s(transmissions=times)))
        bulk = packet.kind in (AnswerDone.__name__, AnswerPiece.__name__)
        reply = not bulk and packet.kind not in (Ask.__name__, Who.__name__, Beacon.__name__)
        begun = packet.index > 0
        return Claim(packet.peer or "", airtime_s, times, run_up_s, begun=begun, bulk=bulk, reply=reply)

    def _is_wanted(self, packet: Packet) -> bool:
        """False when this node is silent, or the packet's question was given up meanwhile."""
        return not self.silent and (packet.kind != Ask.__name__ or packet.ask_id in self._accounts)

    async def _send(self, packet: Packet) -> None:
        cost = self.bearer.cost(len(packet.frame))
        hops = self.session.hops_to(packet.peer) if packet.peer else self.reach
        self._spend(packet.peer or "", cost.airtime_s, self.transmissions(packet.peer))
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
