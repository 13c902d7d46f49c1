"""A peer's question, with the peer played by hand: taken once, answered once, repeated from what is held."""

from __future__ import annotations

from dataclasses import replace

import pytest
from protocol_link import ROUND_TRIP_S, Played, drops, events, new_session, question

from protocol import limits
from protocol.codec import decode, encode
from protocol.errors import LocalError, RefuseCode
from protocol.events import AskReceived, AskStopped
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Busy, Cancel, Message, Refuse
from protocol.session import Session

ASK = Ask(7, "", 60, 0, question())
DONE = AnswerDone(7, 0, "Because.", "m", 3)
LONG = "The sky is blue. " * 30


def received(ask: Ask = ASK) -> tuple[Session, Played]:
    """A session that was asked `ask` at 0."""
    session = new_session()
    peer = Played(session)
    assert peer.say(ask) == [AskReceived("!b", ask)]
    return session, peer


def again(ask: Ask = ASK, have: frozenset[int] = frozenset()) -> Ask:
    return replace(ask, turns=(), have=have)


def test_an_answer_goes_out_and_is_held_for_a_repetition():
    session, peer = received()
    session.answer("!b", DONE)
    (first,) = peer.packets()
    assert first.frame.endswith(encode(DONE))
    assert peer.say(again(), 5) == []
    assert peer.packets(5) == [first]


def test_the_same_question_is_never_handed_over_twice():
    session, peer = received()
    assert peer.say(ASK, 1) == []
    assert peer.say(again(), 2) == []
    session.answer("!b", DONE)
    assert peer.say(ASK, 3) == []
    session.handle_timer(59)
    assert peer.say(ASK, 59) == []


def test_two_peers_may_choose_the_same_id():
    session, peer = received()
    other = Played(session, "!c")
    assert other.say(ASK) == [AskReceived("!c", ASK)]
    session.answer("!c", DONE)
    assert [packet.peer for packet in other.packets()] == ["!c"]
    peer.say(Cancel(7), 1)
    other.say(again(), 2)
    assert [packet.peer for packet in other.packets()] == ["!c"]


def test_a_promise_is_told_at_once_and_again_with_what_is_left_of_it():
    session, peer = received()
    session.accept("!b", 7, 30, 0)
    assert peer.hears() == [Accept(7, 30)]
    peer.say(again(), 20)
    assert peer.hears() == [Accept(7, 10)]
    peer.say(again(), 40)
    assert peer.hears() == [Accept(7, 0)]


def test_an_expectation_is_told_only_when_the_peer_asks_again():
    session, peer = received()
    session.expect("!b", 7, 12.4, 0)
    assert peer.hears() == []
    peer.say(again(), 2)
    assert peer.hears() == [Accept(7, 10)]


def test_nothing_is_promised_before_anything_was_decided():
    _, peer = received()
    peer.say(ASK, 5)
    assert peer.hears() == []


def test_no_promise_goes_beyond_the_deadline():
    session, peer = received()
    session.accept("!b", 7, 100_000, 0)
    assert peer.hears() == [Accept(7, 60)]


def test_a_repetition_brings_only_the_pieces_that_are_missing_and_how_long_the_rest_takes():
    session, peer = received()
    pieces: list[AnswerPiece | AnswerDone] = [AnswerPiece(7, number, f"{number} ") for number in range(3)]
    for piece in pieces:
        session.answer("!b", piece)
    packets = peer.packets()
    run = decode(packets[0].frame[8:]).run
    peer.say(replace(again(have=frozenset({0, 2})), run=run), 9)
    promise, missing = peer.packets()
    assert promise.frame.endswith(encode(Accept(7, 0)))
    assert missing == packets[1]
    session.answer("!b", replace(DONE, number=3))
    peer.packets()
    peer.say(replace(again(have=frozenset({0, 1, 2, 3})), run=run), 12)
    assert peer.packets() == []


def test_the_parts_of_an_answer_are_marked_as_belonging_together_and_a_single_one_is_not():
    session, peer = received()
    session.answer("!b", AnswerPiece(7, 0, "one "))
    session.answer("!b", AnswerDone(7, 1, "two", "m", 2))
    first, last = peer.hears()
    assert isinstance(first, AnswerPiece)
    assert isinstance(last, AnswerDone)
    assert first.run == last.run != 0
    session, peer = received()
    session.answer("!b", DONE)
    assert peer.hears() == [DONE]


def test_pieces_of_another_answer_do_not_count_as_received():
    session, peer = received()
    session.answer("!b", AnswerPiece(7, 0, "one "))
    session.answer("!b", AnswerDone(7, 1, "two", "m", 2))
    first, last = peer.packets()
    peer.say(again(have=frozenset({0, 1})), 5)
    assert peer.packets() == [first, last]


def test_a_repetition_while_the_answer_still_waits_does_not_double_it():
    session, peer = received()
    session.answer("!b", AnswerDone(7, 0, LONG, "m", 9))
    waiting = session.packets_waiting
    for seconds in range(20):
        peer.say(again(replace(ASK, deadline_s=60 - seconds)), seconds)
        assert session.packets_waiting == waiting


def test_an_answer_no_longer_kept_as_packets_is_sent_under_a_new_number():
    session, peer = received(replace(ASK, deadline_s=3600))
    session.answer("!b", DONE)
    (first,) = peer.packets()
    busy = Played(session, "!c")
    busy.say(replace(ASK, deadline_s=3600))
    for number in range(limits.OUTGOING_TRANSFERS_MAX):
        session.answer("!c", AnswerPiece(7, number, "x"))
        busy.packets()
    peer.say(again(), 5)
    (second,) = peer.packets(5)
    assert second.transfer != first.transfer
    assert second.frame[8:] == first.frame[8:]


@pytest.mark.parametrize("no", [Busy(7, 30, 90), Refuse(7, RefuseCode.NO_MODEL, "none here")])
def test_a_no_is_final_and_repeated_when_asked_again(no):
    session, peer = received()
    session.decline("!b", no)
    assert peer.hears() == [no]
    with pytest.raises(LocalError, match="closed"):
        session.answer("!b", DONE)
    session.accept("!b", 7, 5, 1)
    session.decline("!b", Busy(7, 1, 1))
    peer.say(again(), 5)
    (packet,) = peer.packets(5)
    assert packet.kind == type(no).__name__
    assert packet.ask_id == 7


def test_an_answer_can_be_broken_off():
    session, peer = received()
    session.answer("!b", AnswerPiece(7, 0, "one "))
    session.decline("!b", Refuse(7, RefuseCode.ENGINE_FAILED))
    assert [type(message) for message in peer.hears()] == [Refuse, AnswerPiece]
    peer.say(again(), 1)
    assert [packet.kind for packet in peer.packets()] == ["Refuse"], "the piece is of no use"


def test_a_question_given_up_stops_the_work_and_what_waits():
    session, peer = received()
    session.answer("!b", AnswerPiece(7, 0, LONG))
    assert peer.say(Cancel(7), 3) == [AskStopped("!b", 7, expired=False)]
    assert session.packets_waiting == 0
    with pytest.raises(LocalError, match="closed"):
        session.answer("!b", replace(DONE, number=1))
    session.accept("!b", 7, 5, 4)
    session.decline("!b", Busy(7, 5, 5))
    assert peer.say(ASK, 5) == [], "a copy of the question that was late starts no work"
    assert peer.say(Cancel(7), 6) == []
    assert session.packets_waiting == 0


def test_giving_up_an_answered_question_stops_no_work():
    session, peer = received()
    session.answer("!b", DONE)
    assert peer.say(Cancel(7), 3) == []
    assert session.packets_waiting == 0


def test_giving_up_an_unknown_question_does_nothing():
    session = new_session()
    assert Played(session).say(Cancel(7)) == []
    assert session.next_timer() is None


def test_a_question_past_its_deadline_stops_the_work_and_is_forgotten():
    session, peer = received()
    session.accept("!b", 7, 30, 0)
    assert session.next_timer() == 60
    session.handle_timer(60)
    assert events(session) == [AskStopped("!b", 7, expired=True)]
    assert session.next_timer() is None
    assert session.packets_waiting == 0
    session.accept("!b", 7, 5, 61)
    session.expect("!b", 7, 5, 61)
    session.decline("!b", Busy(7, 5, 5))
    assert peer.hears(61) == []
    with pytest.raises(LocalError, match="closed"):
        session.answer("!b", DONE)


def test_an_answer_past_its_deadline_is_forgotten_quietly():
    session, peer = received()
    session.answer("!b", DONE)
    session.handle_timer(60)
    assert drops_after(peer, again(), 61) == []
    assert [packet.kind for packet in peer.packets()] == ["AnswerDone"], "held for two more round trips"
    over = 60 + 2 * ROUND_TRIP_S
    session.handle_timer(over)
    assert events(session) == []
    assert drops_after(peer, again(), over + 1) == ["it repeated a question that is not held"]


def drops_after(peer: Played, message: Message, now: float) -> list[str]:
    for frame in peer.frames(message):
        peer.session.receive(frame, peer.address, now)
    return drops(peer.session)


def test_a_question_without_time_left_is_held_for_a_second():
    session, _ = received(replace(ASK, deadline_s=0))
    assert session.next_timer() == limits.DEADLINE_S_MIN


def test_a_repetition_of_what_is_not_held_is_asked_for_whole():
    session = new_session()
    peer = Played(session)
    assert drops_after(peer, again(), 0) == ["it repeated a question that is not held"]
    assert peer.hears() == [Refuse(7, RefuseCode.FORGOTTEN)]
    assert peer.say(ASK) == [AskReceived("!b", ASK)]


def test_a_stranger_gets_no_word_on_what_is_not_held():
    session = new_session(serves=lambda peer: peer == "!friend")
    peer = Played(session)
    assert drops_after(peer, again(), 0) == ["it repeated a question that is not held"]
    assert session.packets_waiting == 0


def test_a_flood_of_repetitions_makes_us_hold_few_replies():
    session = new_session()
    peer = Played(session)
    for ask_id in range(500):
        peer.say(replace(again(), ask_id=ask_id))
    assert session.packets_waiting == limits.REPLIES_WAITING_PER_PEER_MAX


# What an owner gets wrong


def test_parts_come_in_order():
    session, _ = received()
    session.answer("!b", AnswerPiece(7, 0, "one "))
    for wrong in (AnswerPiece(7, 0, "one "), AnswerPiece(7, 2, "three "), AnswerDone(7, 0, "", "m", 1)):
        with pytest.raises(LocalError, match="part 1 comes next"):
            session.answer("!b", wrong)
    session.answer("!b", AnswerDone(7, 1, "two", "m", 2))
    with pytest.raises(LocalError, match="closed"):
        session.answer("!b", AnswerPiece(7, 2, "three"))


def test_a_part_that_can_not_be_sent_leaves_the_question_open():
    session, peer = received()
    for wrong, why in [
        (AnswerDone(7, 0, "yes", "m" * 25, 1), "longer than 24"),
        (AnswerDone(7, 0, "\ud800", "m", 1), "not Unicode"),
        (AnswerPiece(7, 0, "x" * 32_001), "32000 bytes are the most"),
    ]:
        with pytest.raises(LocalError, match=why):
            session.answer("!b", wrong)
    session.answer("!b", DONE)
    assert peer.hears() == [DONE]


def test_all_parts_together_keep_to_the_limit():
    session, _ = received()
    session.answer("!b", AnswerPiece(7, 0, "ß" * (limits.ANSWER_BYTES_MAX // 2)))
    with pytest.raises(LocalError, match="32000 bytes are the most"):
        session.answer("!b", AnswerPiece(7, 1, "x"))
    session.answer("!b", AnswerDone(7, 1, "", "m", 9))


def test_a_reason_that_is_too_long_leaves_the_question_open():
    session, peer = received()
    with pytest.raises(LocalError, match="longer than 80"):
        session.decline("!b", Refuse(7, RefuseCode.NO_MODEL, "x" * 81))
    peer.say(again(), 1)
    session.decline("!b", Refuse(7, RefuseCode.NO_MODEL))
    assert peer.hears() == [Refuse(7, RefuseCode.NO_MODEL)]


# How many questions are held


def test_a_peer_can_hold_few_questions_open():
    session = new_session()
    peer = Played(session)
    for ask_id in range(limits.ASKS_HELD_PER_PEER_MAX):
        assert peer.say(replace(ASK, ask_id=ask_id)) == [AskReceived("!b", replace(ASK, ask_id=ask_id))]
    assert drops_after(peer, replace(ASK, ask_id=99), 0) == ["too many questions are held already"]
    session.answer("!b", replace(DONE, ask_id=3))
    assert peer.say(replace(ASK, ask_id=99)) == [AskReceived("!b", replace(ASK, ask_id=99))]
    assert drops_after(peer, replace(again(), ask_id=3), 0) == ["it repeated a question that is not held"]


def test_all_peers_together_can_hold_a_bounded_number_and_answered_ones_make_room():
    session = new_session()
    peers = [Played(session, f"!{number}") for number in range(limits.ASKS_HELD_MAX + 1)]
    for peer in peers[:-1]:
        assert len(peer.say(ASK)) == 1
    assert drops_after(peers[-1], ASK, 0) == ["too many questions are held already"]
    session.answer(peers[5].address, DONE)
    assert peers[-1].say(ASK) == [AskReceived(peers[-1].address, ASK)]
    assert peers[4].say(ASK) == []


def test_strangers_make_room_for_friends_and_never_take_their_place():
    session = new_session(serves=lambda peer: peer.startswith("!friend"))
    friend, late_friend, stranger = (Played(session, name) for name in ("!friend1", "!friend2", "!stranger"))
    friend.say(ASK)
    session.answer("!friend1", DONE)
    others = [Played(session, f"!{number}") for number in range(limits.ASKS_HELD_MAX - 1)]
    for other in others:
        other.say(ASK)
    assert late_friend.say(ASK) == [AskStopped("!0", 7, expired=False), AskReceived("!friend2", ASK)]
    (*_, received) = stranger.say(ASK)
    assert received == AskReceived("!stranger", replace(ASK, turns=question("")))
    friend.packets()
    friend.say(again(), 5)
    assert [packet.kind for packet in friend.packets()] == ["AnswerDone"]


def test_a_stranger_finds_no_room_among_friends():
    session = new_session(serves=lambda peer: peer.startswith("!friend"))
    for number in range(limits.ASKS_HELD_MAX):
        Played(session, f"!friend{number}").say(ASK)
        session.answer(f"!friend{number}", DONE)
    assert drops_after(Played(session, "!stranger"), ASK, 0) == ["too many questions are held already"]
