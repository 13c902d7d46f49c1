"""Texts inside messages: coded for who reads them, checked, and asked for again when two nodes' packs differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from protocol_link import Played, events, new_session, question

from nodes.packs import text_coder
from protocol.codec import decode, encode
from protocol.coded import NOTHING_READABLE, Texts, UnreadableTextError, read_beginning, read_text, write_text
from protocol.errors import RefuseCode, RemoteError
from protocol.events import AnswerFinished, AnswerText, AskFailed, AskReceived, Dropped, Failure
from protocol.fragments import read_frame
from protocol.messages import AnswerDone, Ask, Beacon, Refuse
from protocol.session import Session

PACK = ENGLISH = 2
PACK_BITS = 1 << PACK
WORDS = "The sky is blue because air scatters blue light. "


class Shift:
    """A coder whose pack shortens every text to its number in a list that both ends share, and shifts it by `by`."""

    bitmap = 1 << PACK

    def __init__(self, texts: list[str], by: int = 0) -> None:
        self.texts = texts
        self.by = by

    def encode(self, text: str, *, readable: int, about: str = "") -> bytes:
        if not readable & self.bitmap:
            return b"\0" + text.encode()
        if text not in self.texts:
            self.texts.append(text)
        return bytes((PACK, self.texts.index(text)))

    def decode(self, data: bytes, *, about: str = "", max_bytes: int) -> str:
        if data[0] != PACK or len(data) != 2:
            raise RemoteError("a text can't be read", "its pack isn't here")
        return self.texts[(data[1] + self.by) % len(self.texts)]


def coders(by: int = 0) -> tuple[Shift, Shift]:
    texts = ["something else that was said before"]
    return Shift(texts), Shift(texts, by)


def link(by: int = 0, *, asker_by: int = 0) -> tuple[Session, Session]:
    """An asker and an answerer that know of each other's packs; they read others than are written when not 0."""
    mine, theirs = coders(by)
    mine.by = asker_by
    asker, answerer = new_session(1, coder=mine), new_session(2, coder=theirs)
    answerer.announce(Beacon("house", (), 0, 900, 1, 1, PACK_BITS))
    carry(answerer, asker)
    events(asker)
    return asker, answerer


def carry(sender: Session, receiver: Session) -> list[int]:
    """Let everything that waits cross; returns the frames' lengths."""
    sizes = []
    while (packet := sender.next_packet()) is not None:
        sender.packet_sent(packet, 0)
        receiver.receive(packet.frame, "!sender", 0)
        sizes.append(len(packet.frame))
    return sizes


def ask(asker: Session, text: str = WORDS * 3) -> int:
    return asker.ask("!sender", question(text), deadline_s=300, expect_s=0, now=0)


def received(answerer: Session) -> Ask:
    (event,) = [event for event in events(answerer) if isinstance(event, AskReceived)]
    return event.ask


@pytest.mark.parametrize("readable", [NOTHING_READABLE, PACK_BITS])
def test_a_text_comes_back_as_it_was(readable):
    coder, _ = coders()
    data = write_text(coder, WORDS, readable=readable)
    assert read_text(coder, data, bytes_max=1000) == WORDS
    assert len(data) <= len(WORDS.encode()) + 1


def test_a_text_shorter_than_its_code_and_check_goes_as_it_is():
    coder, _ = coders()
    assert write_text(coder, "Hi", readable=PACK_BITS) == b"\0Hi"


def test_a_text_in_a_pack_that_differs_is_noticed():
    mine, theirs = coders(by=1)
    data = write_text(mine, WORDS, readable=PACK_BITS)
    with pytest.raises(UnreadableTextError, match="packs of the two nodes differ"):
        read_text(theirs, data, bytes_max=1000)


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", RemoteError), (b"\0\xff", RemoteError), (b"\0" + b"x" * 11, RemoteError), (b"\x02\0", UnreadableTextError)],
)
def test_what_is_no_text_is_refused(data, error):
    coder, _ = coders()
    with pytest.raises(error):
        read_text(coder, data, bytes_max=10)


def test_a_pack_that_is_not_here_can_be_asked_around():
    coder, _ = coders()
    with pytest.raises(UnreadableTextError):
        read_text(coder, bytes((PACK + 1, 0, 0, 0)), bytes_max=10)
    with pytest.raises(UnreadableTextError):
        read_text(None, bytes((PACK, 0, 0, 0)), bytes_max=10)


def test_question_and_answer_travel_in_a_pack_that_both_have():
    asker, answerer = link()
    ask_id = ask(asker)
    (size,) = carry(asker, answerer)
    assert size < len(WORDS)
    assert received(answerer).turns == question(WORDS * 3)
    answerer.answer("!sender", AnswerDone(ask_id, 0, WORDS))
    (size,) = carry(answerer, asker)
    assert size < len(WORDS)
    assert events(asker)[-1] == AnswerFinished(ask_id, WORDS, "", 0, False)


def test_a_peer_that_told_of_no_packs_is_asked_in_plain_text():
    mine, _ = coders()
    asker = new_session(1, coder=mine)
    ask(asker)
    packet = asker.next_packet()
    assert packet is not None
    assert decode(read_frame(packet.frame).payload).turns == question(WORDS * 3)


def test_a_question_that_cannot_be_read_is_asked_again_in_plain_text():
    asker, answerer = link(by=1)
    ask_id = ask(asker)
    carry(asker, answerer)
    (dropped,) = events(answerer)
    assert isinstance(dropped, Dropped)
    carry(answerer, asker)
    assert events(asker) == []
    carry(asker, answerer)
    assert received(answerer).turns == question(WORDS * 3)
    answerer.answer("!sender", AnswerDone(ask_id, 0, WORDS))
    for sender, receiver in ((answerer, asker), (asker, answerer), (answerer, asker)):
        carry(sender, receiver)
    assert events(asker)[-1] == AnswerFinished(ask_id, WORDS, "", 0, False)


def test_an_answer_in_a_pack_that_differs_comes_again_in_plain_text():
    asker, answerer = link(asker_by=1)
    ask_id = ask(asker)
    carry(asker, answerer)
    answerer.answer("!sender", AnswerDone(ask_id, 0, WORDS))
    for sender, receiver in ((answerer, asker), (asker, answerer), (answerer, asker)):
        carry(sender, receiver)
    assert events(asker)[-1] == AnswerFinished(ask_id, WORDS, "", 0, False)


def test_two_refusals_to_read_are_one_too_many():
    asker, _ = link()
    ask_id = ask(asker)
    peer = Played(asker, "!sender")
    assert peer.say(Refuse(ask_id, RefuseCode.UNREADABLE)) == []
    (failed,) = peer.say(Refuse(ask_id, RefuseCode.UNREADABLE))
    assert isinstance(failed, AskFailed)
    assert (failed.failure, failed.code) == (Failure.REFUSED, RefuseCode.UNREADABLE)


def test_an_answer_that_cannot_be_read_is_asked_for_in_plain_text_and_only_once():
    asker, _ = link(by=0)
    ask_id = ask(asker)
    while asker.next_packet() is not None:
        pass
    peer = Played(asker, "!sender")
    unreadable = encode(AnswerDone(ask_id, 0, WORDS), lambda text: bytes((PACK + 1, 0, 0, 0)))
    for _ in range(2):
        asker.receive(peer.frames_of(unreadable)[0], "!sender", 1)
    again = [message for message in peer.hears(1) if isinstance(message, Ask)]
    assert [(message.turns, message.packs) for message in again] == [((), NOTHING_READABLE)]


def test_nobody_spends_time_on_the_text_of_a_stranger_or_of_an_answer_that_nobody_waits_for():
    session = new_session(1, serves=lambda peer: peer == "!friend")
    stranger = Played(session, "!stranger")
    coded = encode(Ask(1, turns=question(), model="", deadline_s=300, max_tokens=0), lambda text: b"\x3f\0\0\0")
    (heard,) = stranger.give(stranger.frames_of(coded))
    assert isinstance(heard, AskReceived)
    assert heard.ask.turns == question("")
    answer = encode(AnswerDone(7, 0, "x"), lambda text: b"\x3f\0\0\0")
    (dropped,) = stranger.give(stranger.frames_of(answer))
    assert isinstance(dropped, Dropped)
    assert "not open" in dropped.why


def test_packs_of_many_peers_take_bounded_room():
    texts = Texts(None, lambda peer, kind, ask_id: None)
    for number in range(300):
        texts.told(f"!{number}", PACK_BITS)
    assert (texts.packs_of("!0"), texts.packs_of("!299")) == (NOTHING_READABLE, PACK_BITS)


HELD_OUT = Path(__file__).parent / "benchmarks" / "data" / "en.dev.jsonl"
STORY = " ".join(json.loads(row)["text"] for row in HELD_OUT.read_text().splitlines())[:1500]
"""Two packets in the English pack."""


def test_the_beginning_of_a_coded_text_is_read_as_far_as_its_bytes_decide():
    data = write_text(text_coder(), STORY, readable=text_coder().bitmap)
    assert data[0] == ENGLISH
    before = ""
    for end in (*range(10), *range(10, len(data), 41), len(data)):
        begun = read_beginning(text_coder(), data[:end], bytes_max=10_000)
        assert STORY.startswith(begun)
        assert begun.startswith(before)
        before = begun
    assert len(before) > 0.9 * len(STORY)
    assert read_beginning(text_coder(), data, bytes_max=20) == STORY[:20]


@pytest.mark.parametrize("data", [b"", b"\x02\0", bytes((PACK + 45, 0, 0, 1, 2, 3)), b"\xc2\0\0abc"])
def test_what_has_no_readable_beginning_shows_nothing(data):
    assert read_beginning(text_coder(), data, bytes_max=100) == ""
    assert read_beginning(None, data, bytes_max=100) == ""


def test_an_answer_shows_while_its_second_packet_is_on_the_way():
    asker, answerer = new_session(1, coder=text_coder()), new_session(2, coder=text_coder())
    ask_id = ask(asker)
    carry(asker, answerer)
    received(answerer)
    answerer.answer("!sender", AnswerDone(ask_id, 0, STORY))
    first = answerer.next_packet()
    assert first is not None
    assert first.total > 1
    asker.receive(first.frame, "!sender", 1)
    (shown,) = events(asker)
    assert isinstance(shown, AnswerText)
    assert STORY.startswith(shown.text)
    assert len(shown.text) > 200
    stranger = Played(asker, "!stranger")
    assert stranger.give(stranger.frames(AnswerDone(ask_id, 0, "x" * 300))[:1]) == []
