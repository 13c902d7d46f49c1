"""One node: its engine, its cache and its bearers, wired in one nursery.

Asks for its owner (`Node.ask`) and answers for its peers. Decisions are made elsewhere (router, admission, budget,
session); this file carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import trio

from nodes.admission import Admission
from nodes.announcing import Announcer
from nodes.bearers.radio import RadioBearer
from nodes.cache import AnswerCache
from nodes.clock import WallClock, system_wall_clock
from nodes.emergency import Emergencies
from nodes.emergency_plan import EmergencyPlan
from nodes.inquiry import Inquiry
from nodes.interfaces import Bearer, Engine
from nodes.lookout import Lookout
from nodes.offers import Offers
from nodes.phone_text import PhoneDesk, PhoneSettings
from nodes.pump import Pump
from nodes.serving import Serving
from nodes.sharing import Verdict, always
from nodes.trace import Trace
from nodes.wishes import Answer, Progress, Wish
from protocol import limits
from protocol.budget import DEFAULT_SHARE
from protocol.codec import encode
from protocol.coded import NOTHING_READABLE
from protocol.events import (
    AnswerFinished,
    AnswerRestarted,
    AnswerText,
    AskFailed,
    AskPromised,
    AskReceived,
    AskStopped,
    BeaconHeard,
    Event,
    WhoHeard,
)
from protocol.messages import Beacon
from protocol.peers import Peer
from protocol.version import VERSION_MAX, VERSION_MIN

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["Node", "NodeSettings", "NodeStatus"]


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a node's owner decides."""

    name: str
    serves: frozenset[str] = frozenset()
    """Addresses of the radios that are answered; nobody else is."""
    airtime_share: float = DEFAULT_SHARE
    """Own sends, as a share of the time."""
    silent: bool = False
    """Whether it starts silent, see `Node.hush`."""
    phones: PhoneSettings = field(default_factory=PhoneSettings)
    emergency: EmergencyPlan = field(default_factory=EmergencyPlan)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How a node is doing."""

    name: str
    models: tuple[str, ...]
    problems: tuple[str, ...]
    """Why a bearer can't be used now, one line each."""
    backlog_s: float
    air_left_s: float | None
    """Seconds of air that may be sent now; None without a shared medium."""
    air_hour_s: float | None
    air: str
    """The same in plain words, with what holds sends back now; empty without a shared medium."""
    silent: bool
    cached: int


class Node:
    """A running node."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        engine: Engine | None,
        bearers: Sequence[Bearer],
        cache: AnswerCache,
        rng: Random,
        trace: Trace,
        coder: TextCoder | None = None,
        wall: WallClock = system_wall_clock,
        sharing: Callable[[], Verdict] = always,
    ) -> None:
        """`engine` is None on a node that only asks. The node runs and closes what it is given.

        `coder` makes texts compact for the air; without one they go as they are. `sharing` tells whether this node
        works for its peers now, see `nodes.sharing`; its owner's questions are answered all the same.
        """
        self.settings = settings
        self.trace = trace
        self._engine = engine
        self._offers = Offers(engine)
        self._sharing = sharing
        self._rested = False
        self._cache = cache
        self._packs = coder.bitmap if coder else NOTHING_READABLE
        self._rng = rng
        self._admission = Admission(engine.slots if engine else 1)
        self._pumps = [
            Pump(
                bearer,
                settings.airtime_share,
                rng=rng,
                trace=trace,
                serves=self._serves,
                handle=self._take,
                changed=self._look_again,
                coder=coder,
            )
            for bearer in bearers
        ]
        self._lookout = Lookout(
            name=settings.name,
            has_engine=engine is not None,
            offers=self._offers,
            admission=self._admission,
            pumps=self._pumps,
            look_around=self._look_around,
        )
        self._inquiry = Inquiry(
            name=settings.name,
            engine=engine,
            admission=self._admission,
            cache=cache,
            lookout=self._lookout,
            rng=rng,
            trace=trace,
        )
        self._serving = Serving(
            engine=engine,
            offers=self._offers,
            admission=self._admission,
            serves=self._serves,
            sharing=self._verdict,
            rng=rng,
            trace=trace,
        )
        self._emergencies = Emergencies(settings.emergency)
        self._desks = [
            PhoneDesk(
                settings.phones,
                owner=settings.name,
                pump=pump,
                bearer=pump.bearer,
                ask=self._inquiry.ask,
                models=self._models_in_reach,
                allows=self._serves,
                emergencies=self._emergencies,
                trace=trace,
                wall=wall,
            )
            for pump in self._pumps
            if isinstance(pump.bearer, RadioBearer)
        ]
        self._announcers = {pump: Announcer(pump, self._beacon, rng, self._rests) for pump in self._pumps}
        self.hush(silent=settings.silent)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; `started()` when questions can be asked. Raises LocalError when it can't start."""
        try:
            async with trio.open_nursery() as nursery:
                if self._engine is not None:
                    await nursery.start(self._engine.run)
                    self._offers.at(trio.current_time())
                await nursery.start(self._serving.run)
                for pump in self._pumps:
                    await nursery.start(pump.run)
                    if self._engine is not None:
                        nursery.start_soon(self._announcers[pump].run)
                for desk in self._desks:
                    await nursery.start(desk.run)
                self.trace.note("node.ready", node=self.settings.name)
                task_status.started()
        finally:
            self._cache.close()

    async def ask(self, wish: Wish, show: Callable[[Progress], None] = lambda progress: None) -> Answer:
        """Answer a question from the cache, this node's engine or a peer, calling `show` with what happens meanwhile.

        A question that sounds like an emergency is answered first with a fixed text, see `nodes.emergency`. Raises
        LocalError or RemoteError when there is no answer. Cancelling the task gives the question up.
        """
        return await self._emergencies.ask(self._inquiry.ask, wish, show)

    def hush(self, *, silent: bool) -> None:
        """Send nothing on any shared medium from now on, or speak again.

        In silence the owner's questions are answered from the cache and by this node's own model; peers are not
        answered, and nothing announces this node.
        """
        self._silent = silent
        self.trace.note("node.silent" if silent else "node.speaks")
        for pump, announcer in self._announcers.items():
            pump.hush(silent=silent)
            announcer.beacon_wanted()
        if silent:
            self._serving.stop_all()

    def known_peers(self) -> tuple[Peer, ...]:
        """The peers heard of late, fresh or not."""
        now = trio.current_time()
        return tuple(peer for pump in self._pumps for peer in pump.peers.all(now))

    def status(self) -> NodeStatus:
        """How this node is doing now."""
        now = trio.current_time()
        return NodeStatus(
            name=self.settings.name,
            models=tuple(offer.name for offer in self._offers.at(now)),
            problems=tuple(pump.problem for pump in self._pumps if pump.problem),
            backlog_s=self._admission.backlog_s(now),
            air_left_s=min((pump.budget.left_s(now) for pump in self._pumps), default=None),
            air_hour_s=min((pump.budget.hour_s for pump in self._pumps), default=None),
            air="; ".join(pump.budget.words(now) for pump in self._pumps),
            silent=self._silent,
            cached=len(self._cache),
        )

    def _models_in_reach(self) -> tuple[str, ...]:
        now = trio.current_time()
        own = [offer.name for offer in self._offers.at(now)]
        theirs = [offer.name for pump in self._pumps for peer in pump.peers.fresh(now) for offer in peer.beacon.models]
        return tuple(dict.fromkeys((*own, *theirs)))

    def _serves(self, peer: str) -> bool:
        return peer in self.settings.serves

    def _verdict(self) -> Verdict:
        """Whether this node works for its peers now; notes when that changes."""
        verdict = self._sharing()
        if verdict.shares is self._rested:
            self._rested = not verdict.shares
            self.trace.note("node.rests" if self._rested else "node.shares", why=verdict.why)
        return verdict

    def _rests(self) -> bool:
        return not self._verdict().shares

    def _take(self, pump: Pump, event: Event) -> None:
        match event:
            case BeaconHeard():
                self._take_beacon(pump, event)
            case WhoHeard():
                self.trace.note("who.heard", peer=event.peer)
                self._announcers[pump].beacon_wanted()
            case AskReceived():
                self._serving.take(pump, event)
            case AskStopped():
                self._serving.stop(pump, event)
            case AskPromised() | AnswerText() | AnswerRestarted() | AnswerFinished() | AskFailed():
                self._inquiry.take(pump, event)

    def _take_beacon(self, pump: Pump, event: BeaconHeard) -> None:
        # All who hear a beacon would come when its backlog is over, and be too many again.
        backlog_s = round(event.beacon.backlog_s * self._rng.uniform(1, 2))
        beacon = replace(event.beacon, backlog_s=backlog_s)
        understood = pump.peers.heard(event.peer, beacon, event.hops, trio.current_time())
        pump.neighbours_changed()
        self.trace.note("beacon.heard", peer=event.peer, hops=event.hops, understood=understood)
        self._look_again()

    def _look_again(self) -> None:
        for desk in self._desks:
            desk.radio_changed()
        self._lookout.look_again()

    def _look_around(self) -> None:
        for announcer in self._announcers.values():
            announcer.ask_who()

    def _beacon(self, pump: Pump, valid_s: int) -> Beacon:
        offers = () if self._rests() else self._offers.at(trio.current_time())[: limits.BEACON_MODELS_MAX]
        backlog_s = round(self._serving.backlog_s(pump))
        beacon = Beacon(self.settings.name, offers, backlog_s, valid_s, VERSION_MIN, VERSION_MAX, self._packs)
        while len(encode(beacon)) > limits.BEACON_BYTES_MAX and len(beacon.models) > 1:
            beacon = replace(beacon, models=beacon.models[:-1])
        return beacon
