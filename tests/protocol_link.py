"""Sessions for tests: one that faces a peer played by hand, or two on a line in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from random import Random
from typing import Any

import pytest

from protocol import limits
from protocol.codec import decode, encode
from protocol.errors import LocalError
from protocol.events import Dropped, Event
from protocol.fragments import Reassembler, read_frame, split
from protocol.messages import AnswerPiece, Ask, Message, Role, Turn
from protocol.outbox import Packet
from protocol.session import Session

__all__ = [
    "ROUND_TRIP_S",
    "Line",
    "Played",
    "asked",
    "drops",
    "events",
    "fill",
    "fire",
    "new_session",
    "path_time_s",
    "patience_s",
    "question",
]

ROUND_TRIP_S = 6.0
"""Of a full frame over the three hops assumed."""


def patience_s(wait_s: float = 0.0, repeats: int = 0) -> float:
    """How long an asker waits for a peer at the distance assumed."""
    once_s = wait_s + limits.REPLY_SPREAD * ROUND_TRIP_S / 2 + limits.SLACK_S
    return max(once_s, min(once_s * limits.REPEAT_BACKOFF**repeats, limits.REPEAT_STEADY_S))


def path_time_s(frame_bytes: int, hops: int) -> float:
    """A slow radio: a full frame takes a second per transmission."""
    return frame_bytes / 200 * hops


def new_session(seed: int = 1, *, serves: Callable[[str], bool] = lambda peer: True, coder: Any = None) -> Session:
    return Session(rng=Random(seed), path_time=path_time_s, serves=serves, coder=coder)


def question(text: str = "Why?") -> tuple[Turn, ...]:
    return (Turn(Role.USER, text),)


def events(session: Session) -> list[Event]:
    """Every event since the last call."""
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


def drops(session: Session) -> list[str]:
    """Why things were dropped, when nothing else happened."""
    found = events(session)
    assert all(isinstance(event, Dropped) for event in found), found
    return [event.why for event in found if isinstance(event, Dropped)]


class Played:
    """A peer played by hand, facing a session."""

    def __init__(self, session: Session, address: str = "!b", *, first_transfer: int = 0) -> None:
        self.session = session
        self.address = address
        self._transfers = count(first_transfer)
        self._reassembler = Reassembler()

    def frames(self, message: Message, *, transfer: int | None = None) -> list[bytes]:
        return self.frames_of(encode(message), transfer=transfer)

    def frames_of(self, data: bytes, *, transfer: int | None = None) -> list[bytes]:
        """The frames of a message that is given as bytes."""
        return split(data, next(self._transfers) % 256 if transfer is None else transfer)

    def give(self, frames: Iterable[bytes], now: float = 0.0, *, hops: int = 0) -> list[Event]:
        """Let frames arrive; returns the events."""
        for frame in frames:
            self.session.receive(frame, self.address, now, hops=hops)
        return events(self.session)

    def say(self, message: Message, now: float = 0.0, *, hops: int = 0) -> list[Event]:
        """Let a message arrive; returns the events."""
        return self.give(self.frames(message), now, hops=hops)

    def packets(self, now: float = 0.0) -> list[Packet]:
        """Take every packet that waits."""
        taken = []
        while (packet := self.session.next_packet()) is not None:
            self.session.packet_sent(packet, now)
            taken.append(packet)
        return taken

    def hears(self, now: float = 0.0) -> list[Message]:
        """Take every packet that waits, and read the messages that are whole."""
        messages = []
        for packet in self.packets(now):
            data = self._reassembler.add("session", read_frame(packet.frame), now)
            if data is not None:
                messages.append(decode(data))
        return messages


def asked(*, deadline_s: int = 600, expect_s: float = 0.0, text: str = "Why?") -> tuple[Session, Played, int]:
    """A session that has sent a question at 0."""
    session = new_session()
    peer = Played(session)
    ask_id = session.ask("!b", question(text), deadline_s=deadline_s, expect_s=expect_s, now=0)
    (ask,) = peer.hears(0)
    assert isinstance(ask, Ask)
    assert ask.ask_id == ask_id
    return session, peer, ask_id


def fire(session: Session, times: int = 1) -> float:
    """Let the next timers fire; returns when the last did."""
    now = 0.0
    for _ in range(times):
        due = session.next_timer()
        assert due is not None
        now = due
        session.handle_timer(now)
    return now


def fill(session: Session) -> None:
    """Let an answer to another peer take all room that is left."""
    asker = Played(session, "!d")
    asker.say(Ask(1, "", 3600, 0, question()))
    for number in range(limits.OUTGOING_TRANSFERS_MAX):
        session.answer("!d", AnswerPiece(1, number, "x"))
    with pytest.raises(LocalError, match="too many messages wait"):
        session.answer("!d", AnswerPiece(1, limits.OUTGOING_TRANSFERS_MAX, "x"))


class Line:
    """Two sessions, `a` and `b`, that take turns on one channel. By chance a frame is lost, repeated or late."""

    def __init__(
        self,
        handle: Callable[[str, Event], None],
        *,
        seed: int = 1,
        hops: int = 2,
        loss: float = 0.0,
        repeats: float = 0.0,
        late_s: float = 0.0,
    ) -> None:
        """`handle(side, event)` gets every event; `loss` and `repeats` are shares, frames come up to `late_s` late."""
        self.now = 0.0
        self.sent: list[tuple[str, Packet]] = []
        self.sessions = {"a": new_session(2 * seed), "b": new_session(2 * seed + 1)}
        self._handle = handle
        self._hops = hops
        self._loss = loss
        self._repeats = repeats
        self._late_s = late_s
        self._rng = Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._free_at = 0.0

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), do))

    def restart(self, side: str) -> None:
        """The side loses everything it held."""
        self.sessions[side] = new_session(self._rng.getrandbits(32))

    def run(self, until: float) -> None:
        """Let time pass, to `until` seconds."""
        while True:
            self._hand_out_events()
            self._fill_channel()
            timers = [at for session in self.sessions.values() if (at := session.next_timer()) is not None]
            timer = min(timers, default=float("inf"))
            planned = self._agenda[0][0] if self._agenda else float("inf")
            if min(timer, planned) > until:
                self.now = until
                return
            self.now = max(self.now, min(timer, planned))
            if planned <= timer:
                heapq.heappop(self._agenda)[2]()
            else:
                for session in self.sessions.values():
                    session.handle_timer(self.now)

    def _hand_out_events(self) -> None:
        for side, session in self.sessions.items():
            for event in events(session):
                self._handle(side, event)

    def _fill_channel(self) -> None:
        if self.now < self._free_at:
            return
        for side, session in self.sessions.items():
            packet = session.next_packet()
            if packet is not None:
                self._free_at = self.now + path_time_s(len(packet.frame), self._hops)
                self.sent.append((side, packet))
                self.at(self._free_at, partial(self.sessions[side].packet_sent, packet, self._free_at))
                for _ in range(1 + (self._rng.random() < self._repeats)):
                    if self._rng.random() >= self._loss:
                        at = self._free_at + self._rng.random() * self._late_s
                        self.at(at, partial(self._arrive, side, packet))
                return

    def _arrive(self, side: str, packet: Packet) -> None:
        other = "b" if side == "a" else "a"
        self.sessions[other].receive(packet.frame, side, self.now, hops=self._hops)
