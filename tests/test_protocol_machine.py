"""Two sessions over a link that loses, repeats, reorders, delays and damages frames, driven by hypothesis.

Whatever happens: every ask ends once and in time, its text is what the answerer gave, and memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol import limits
from protocol.errors import RefuseCode
from protocol.events import (
    AnswerFinished,
    AnswerRestarted,
    AnswerText,
    AskFailed,
    AskPromised,
    AskReceived,
    AskStopped,
    Dropped,
    Failure,
)
from protocol.messages import AnswerDone, AnswerPiece, Ask, Busy, Refuse, Role, Turn
from protocol.session import Session

ASKS_OPEN_MAX = 2
"""Per side at once: few, so that most steps happen to a question that is under way."""
ASKS_MAX = limits.ASKS_HELD_PER_PEER_MAX
"""Per side in all, so that no answered question has to make room."""


@dataclass
class Asked:
    """One of our questions, as its owner sees it."""

    side: str
    question: str
    deadline_at: float
    shown: str = ""
    ended: int = 0
    given_up: bool = False


@dataclass
class Held:
    """A peer's question, as the node that answers sees it."""

    ask: Ask
    expires_at: float
    open: bool = True
    parts: list[str] = field(default_factory=list)


@dataclass
class Side:
    session: Session
    held: dict[int, Held] = field(default_factory=dict)
    restarts: int = 0


def other(side: str) -> str:
    return "b" if side == "a" else "a"


texts = st.one_of(
    st.text(max_size=40),
    st.builds(lambda text, times: (text or "ß∂🙂") * times, st.text(min_size=1, max_size=8), st.integers(1, 150)),
)
fates = st.lists(st.sampled_from("++++-2~"), max_size=12)
"""Of the next packets: arrives, is lost, arrives twice, is kept for later. Those after them arrive."""
sides = st.sampled_from("ab")
picks = st.integers(0, 1_000_000)


class LossyPair(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.air: list[tuple[str, bytes]] = []
        self.asks: dict[tuple[str, int], Asked] = {}
        self.answers: dict[str, list[str]] = {}
        self.sides: dict[str, Side] = {}

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.rng = Random(seed)
        self.sides = {name: Side(self.new_session()) for name in "ab"}

    def new_session(self) -> Session:
        return Session(
            rng=Random(self.rng.getrandbits(64)), path_time=lambda frame_bytes, hops: 0.002 * frame_bytes * hops
        )

    # What the owners do

    @rule(
        side=sides,
        deadline_s=st.sampled_from([1, 30, 600, 600, 3600]),
        expect_s=st.floats(0, 60),
        filler=st.integers(0, 600),
        fates=fates,
    )
    def ask(self, side: str, deadline_s: int, expect_s: float, filler: int, fates: list[str]) -> None:
        own = [asked for asked in self.asks.values() if asked.side == side]
        if len(own) >= ASKS_MAX or sum(not (asked.ended or asked.given_up) for asked in own) >= ASKS_OPEN_MAX:
            return
        question = f"question {len(self.asks)} {'?' * filler}"
        turns = (Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, question))
        ask_id = self.sides[side].session.ask(
            other(side), turns, deadline_s=deadline_s, expect_s=expect_s, now=self.now
        )
        assert (side, ask_id) not in self.asks
        self.asks[side, ask_id] = Asked(side, question, self.now + deadline_s)
        self.exchange(fates)

    def pick_open(self, pick: int) -> tuple[str, Held] | None:
        found = [(name, held) for name, side in self.sides.items() for held in side.held.values() if held.open]
        return found[pick % len(found)] if found else None

    @rule(
        pick=picks,
        how=st.sampled_from(["accept", "accept", "expect", "busy", "refuse"]),
        wait_s=st.integers(0, 100),
        fates=fates,
    )
    def decide(self, pick: int, how: str, wait_s: int, fates: list[str]) -> None:
        if (found := self.pick_open(pick)) is None:
            return
        side, held = found
        session, peer, ask_id = self.sides[side].session, other(side), held.ask.ask_id
        match how:
            case "accept":
                session.accept(peer, ask_id, wait_s, self.now)
            case "expect":
                session.expect(peer, ask_id, wait_s, self.now)
            case "busy":
                session.decline(peer, Busy(ask_id, wait_s, wait_s))
            case "refuse":
                session.decline(peer, Refuse(ask_id, RefuseCode.NO_MODEL, "none here"))
        held.open = how in ("accept", "expect")
        self.exchange(fates)

    @rule(
        pick=picks,
        pieces=st.lists(texts, max_size=3),
        last=st.one_of(texts, texts, st.none()),
        fates=fates,
    )
    def answer(self, pick: int, pieces: list[str], last: str | None, fates: list[str]) -> None:
        if (found := self.pick_open(pick)) is None:
            return
        side, held = found
        session = self.sides[side].session
        question = held.ask.turns[-1].text
        for text in pieces:
            session.answer(other(side), AnswerPiece(held.ask.ask_id, len(held.parts), text))
            held.parts.append(text)
        if last is not None:
            session.answer(other(side), AnswerDone(held.ask.ask_id, len(held.parts), last, "model", 7))
            held.parts.append(last)
            held.open = False
            self.answers.setdefault(question, []).append("".join(held.parts))
        self.exchange(fates)

    @precondition(lambda self: self.open_asks())
    @rule(pick=picks, what=st.sampled_from(["cancel", "restart asker"]))
    def trouble(self, pick: int, what: str) -> None:
        open_asks = self.open_asks()
        side, ask_id = open_asks[pick % len(open_asks)]
        if what == "cancel":
            self.sides[side].session.cancel(ask_id, self.now)
            self.asks[side, ask_id].given_up = True
        else:
            self.restart(side)

    @precondition(lambda self: self.open_asks())
    @rule(pick=picks, text=texts, fates=fates)
    def answerer_restarts(self, pick: int, text: str, fates: list[str]) -> None:
        """It loses the question while a piece is on its way; the next repetition may find that out."""
        open_asks = self.open_asks()
        side, ask_id = open_asks[pick % len(open_asks)]
        held = self.sides[other(side)].held.get(ask_id)
        if held is not None and held.open:
            self.sides[other(side)].session.answer(side, AnswerPiece(ask_id, len(held.parts), text))
            held.parts.append(text)
            self.exchange(["~"] * 100)
        self.restart(other(side))
        timer = self.sides[side].session.next_timer()
        if timer is not None:
            self.run_until(timer)
        self.exchange(fates)

    def open_asks(self) -> list[tuple[str, int]]:
        return [key for key, asked in self.asks.items() if not (asked.ended or asked.given_up)]

    def restart(self, side: str) -> None:
        for asked in self.asks.values():
            if asked.side == side and not asked.ended:
                asked.given_up = True
        self.sides[side] = Side(self.new_session(), restarts=self.sides[side].restarts + 1)

    # What the air does

    @rule(fates=fates)
    def exchange(self, fates: list[str]) -> None:
        """Carry what waits on both sides."""
        fate = iter(fates)
        for _ in range(4):
            for name, side in self.sides.items():
                while (packet := side.session.next_packet()) is not None:
                    assert packet.peer == other(name)
                    assert len(packet.frame) <= limits.FRAME_BYTES_MAX
                    side.session.packet_sent(packet, self.now)
                    what = next(fate, "+")
                    if what == "~":
                        self.air.append((name, packet.frame))
                    for _ in range({"-": 0, "~": 0, "2": 2}.get(what, 1)):
                        self.receive(name, packet.frame)

    @precondition(lambda self: self.air)
    @rule(
        pick=picks,
        fate=st.sampled_from(["deliver", "deliver and keep", "lose", "flip", "cut", "extend", "overwrite"]),
        where=picks,
        bits=st.integers(1, 255),
    )
    def late_frame(self, pick: int, fate: str, where: int, bits: int) -> None:
        index = pick % len(self.air)
        sender, frame = self.air[index] if fate == "deliver and keep" else self.air.pop(index)
        at = where % len(frame)
        match fate:
            case "deliver" | "deliver and keep":
                self.receive(sender, frame)
            case "flip":
                self.receive_damaged(sender, frame, frame[:at] + bytes([frame[at] ^ bits]) + frame[at + 1 :])
            case "cut":
                self.receive_damaged(sender, frame, frame[:at])
            case "extend":
                self.receive_damaged(sender, frame, frame + bytes([bits]) * (at + 1))
            case "overwrite":
                self.receive_damaged(sender, frame, frame[:at] + Random(where).randbytes(len(frame) - at))

    def receive_damaged(self, sender: str, frame: bytes, damaged: bytes) -> None:
        if damaged != frame:
            session = self.sides[other(sender)].session
            session.receive(damaged, sender, self.now)
            assert isinstance(session.next_event(), Dropped)
            assert session.next_event() is None

    @rule(seconds=st.one_of(st.none(), st.none(), st.floats(0.01, 5), st.floats(5, 400)))
    def let_time_pass(self, seconds: float | None) -> None:
        """So many seconds, or until somebody has something to do."""
        timers = [at for side in self.sides.values() if (at := side.session.next_timer()) is not None]
        self.run_until(min(timers, default=self.now) if seconds is None else self.now + seconds)

    def run_until(self, then: float) -> None:
        while True:
            due = {name: side.session.next_timer() for name, side in self.sides.items()}
            name, at = min(
                ((n, t) for n, t in due.items() if t is not None), key=lambda d: d[1], default=("", then + 1)
            )
            if at > then:
                break
            self.now = max(self.now, at)
            session = self.sides[name].session
            session.handle_timer(self.now)
            after = session.next_timer()
            assert after is None or after > self.now, "a timer fires again and again"
            self.drain()
        self.now = then

    # What the owners see

    def receive(self, sender: str, frame: bytes) -> None:
        self.sides[other(sender)].session.receive(frame, sender, self.now)
        self.drain()

    def drain(self) -> None:
        for name, side in self.sides.items():
            while (event := side.session.next_event()) is not None:
                match event:
                    case AskReceived():
                        assert event.peer == other(name)
                        known = side.held.get(event.ask.ask_id)
                        assert known is None or self.now >= known.expires_at, "a question was handed over twice"
                        side.held[event.ask.ask_id] = Held(event.ask, self.now + event.ask.deadline_s)
                    case AskStopped():
                        assert side.held[event.ask_id].open, "work was stopped that was not under way"
                        side.held[event.ask_id].open = False
                    case Dropped():
                        pass
                    case _:
                        self.see(name, event)

    def see(self, name: str, event: object) -> None:
        assert isinstance(event, AskPromised | AnswerText | AnswerRestarted | AnswerFinished | AskFailed), event
        asked = self.asks[name, event.ask_id]
        assert not asked.ended, "something came after the end"
        assert not asked.given_up, "something came after the question was given up"
        match event:
            case AnswerText():
                assert event.text, "an empty piece of text was shown"
                asked.shown += event.text
                self.check_shown(asked)
            case AnswerRestarted():
                assert asked.shown
                asked.shown = ""
            case AnswerFinished():
                asked.ended += 1
                assert self.now < asked.deadline_at
                assert event.text in self.answers[asked.question]
                assert asked.shown == event.text
                assert event.model == "model"
            case AskFailed():
                asked.ended += 1
                assert (event.failure is Failure.DEADLINE) == (self.now >= asked.deadline_at)

    def check_shown(self, asked: Asked) -> None:
        peer = self.sides[other(asked.side)]
        if peer.restarts == 0:
            given = ["".join(held.parts) for held in peer.held.values() if held.ask.turns[-1].text == asked.question]
            assert any(text.startswith(asked.shown) for text in given), "text was shown that nobody gave"

    @invariant()
    def nothing_is_overdue(self) -> None:
        for asked in self.asks.values():
            assert asked.ended or asked.given_up or self.now < asked.deadline_at

    @invariant()
    def memory_is_bounded(self) -> None:
        for side in self.sides.values():
            check_bounds(side.session)

    def teardown(self) -> None:
        if self.sides:
            self.run_until(max((asked.deadline_at for asked in self.asks.values()), default=self.now) + 4000)
            assert all(asked.ended == (not asked.given_up) for asked in self.asks.values())
            for side in self.sides.values():
                assert side.session.next_timer() is None, "something is still held after every deadline"


def check_bounds(session: Session) -> None:
    reassembler, outbox = session._reassembler, session._outbox
    assert len(reassembler.incomplete) <= limits.PARTIAL_TRANSFERS_MAX
    assert all(len(partial.parts) < partial.total <= limits.FRAGMENTS_MAX for partial in reassembler.incomplete)
    assert len(reassembler._done) <= limits.DONE_TRANSFERS_MAX
    assert len(outbox._held) <= limits.OUTGOING_TRANSFERS_MAX
    assert len(outbox) <= sum(len(transfer.packets) for transfer in outbox._held.values())
    assert len(session._requests) <= limits.ASKS_HELD_MAX
    assert len(session._questions) <= limits.QUESTIONS_MAX
    assert len(session._hops) <= limits.PEERS_MAX


TestLossyPair = LossyPair.TestCase
TestLossyPair.settings = settings(stateful_step_count=50, suppress_health_check=[HealthCheck.too_slow])
