"""Our own question, asked again: when, for what, and of a peer that lost it."""

from __future__ import annotations

from random import Random

import pytest
from protocol_link import (
    ROUND_TRIP_S,
    Played,
    asked,
    fill,
    fire,
    new_session,
    path_time_s,
    patience_s,
    question,
)

from protocol import limits
from protocol.codec import decode
from protocol.coded import NOTHING_READABLE
from protocol.errors import RefuseCode
from protocol.events import (
    AnswerFinished,
    AnswerRestarted,
    AnswerText,
    AskFailed,
    Failure,
)
from protocol.fragments import read_frame
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Gap, Refuse
from protocol.session import Session

LONG = "The sky is blue. " * 30
"""Three packets of text."""


# Asking again


def test_a_question_without_any_reply_is_asked_again_whole_ever_more_rarely_and_soon_twice_at_once():
    session, peer, ask_id = asked()
    gaps = []
    before = 0.0
    for repeats in range(1, 6):
        now = fire(session)
        packets = peer.packets(now)
        assert len(packets) == (2 if repeats > limits.COPIES_AFTER else 1)
        again = decode(read_frame(packets[-1].frame).payload)
        assert again == Ask(ask_id, "", int(600 - now), 0, question(), frozenset(), packs=NOTHING_READABLE)
        gaps.append(now - before)
        before = now
    assert gaps == [pytest.approx(patience_s(0, repeats)) for repeats in range(5)]
    assert gaps[-1] == pytest.approx(limits.REPEAT_STEADY_S)


def test_while_others_use_the_air_a_question_is_repeated_seldom_and_once_only():
    session = Session(rng=Random(1), path_time=path_time_s, busy=lambda: True)
    peer, times = Played(session), []
    session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
    assert len(peer.packets(0)) == 1
    while (now := fire(session)) < 600:
        times.append(now)
        assert len(peer.packets(now)) == 1
    assert times == [pytest.approx(limits.PATIENCE_BUSY_S * sums) for sums in (1, 3, 7)]


def test_a_peer_that_holds_the_question_is_asked_without_it_for_what_is_missing():
    session, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "one "), 1)
    peer.say(AnswerPiece(ask_id, 2, "three "), 2)
    now = fire(session)
    assert peer.hears(now) == [Ask(ask_id, "", int(600 - now), 0, (), frozenset({0, 2}), packs=NOTHING_READABLE)]


def test_a_promised_answer_is_asked_for_without_the_question():
    session, peer, ask_id = asked()
    peer.say(Accept(ask_id, 0), 1)
    (again,) = peer.hears(fire(session))
    assert isinstance(again, Ask)
    assert again.turns == ()


def test_a_question_waiting_to_be_sent_is_not_asked_twice():
    session = new_session()
    session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
    assert session.next_timer() == 600
    session.handle_timer(599)
    assert session.packets_waiting == 1


def test_waiting_starts_when_the_last_packet_left():
    session = new_session()
    session.ask("!b", question(LONG), deadline_s=600, expect_s=50, now=0)
    for now in (10, 20, 30, 40):
        packet = session.next_packet()
        if packet is not None:
            assert session.next_timer() == 600
            session.packet_sent(packet, now)
    assert session.next_timer() == 30 + patience_s(50)


def test_a_long_question_leaves_the_peer_time_to_ask_for_lost_packets():
    session = new_session()
    peer = Played(session)
    session.ask("!b", question(LONG), deadline_s=600, expect_s=0, now=0)
    first, *_ = peer.packets(0)
    assert session.next_timer() == patience_s(ROUND_TRIP_S + 1)
    peer.say(Gap(first.transfer, frozenset({1})), 9)
    (again,) = peer.packets(10)
    assert (again.index, again.last) == (1, False)
    assert session.next_timer() == 10 + patience_s(ROUND_TRIP_S + 1), "the lost packet counts as sent now"


def test_a_question_of_two_packets_is_long_enough_for_that():
    session = new_session()
    session.ask("!b", question("x" * 200), deadline_s=600, expect_s=0, now=0)
    assert len(Played(session).packets(0)) == 2
    assert session.next_timer() == patience_s(ROUND_TRIP_S + 1)


def test_a_broken_promise_is_not_waited_for_again():
    session, peer, ask_id = asked()
    peer.say(Accept(ask_id, 100), 1)
    now = fire(session)
    peer.packets(now)
    assert session.next_timer() == now + patience_s(0, 1)


def test_once_a_part_is_here_the_rest_is_expected_soon():
    session, peer, ask_id = asked(expect_s=100)
    peer.say(Accept(ask_id, 100), 1)
    peer.say(AnswerPiece(ask_id, 0, "one "), 2)
    assert session.next_timer() == 2 + patience_s()
    now = fire(session)
    peer.packets(now)
    assert session.next_timer() == now + patience_s(0, 1)


def test_each_missing_frame_of_a_part_is_given_the_time_it_takes():
    session, peer, ask_id = asked()
    frames = peer.frames(AnswerDone(ask_id, 0, LONG * 4, "m", 9))
    peer.give(frames[:2], 3)
    due = session.next_timer()
    assert due == 3 + ROUND_TRIP_S + 1, "the Gap comes first"
    session.handle_timer(due)
    peer.give(frames[2:-1], due)
    session.handle_timer(due + ROUND_TRIP_S + 1)
    assert session.next_timer() == due + patience_s(ROUND_TRIP_S / 2)


def test_while_the_answer_is_coming_in_the_wait_starts_anew():
    session, peer, ask_id = asked()
    frames = peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))
    peer.give(frames[1:2], 4)
    session.handle_timer(patience_s())
    assert peer.hears() == []
    peer.give(frames[2:], 6)
    assert session.next_timer() == patience_s() * 2


def test_while_the_answer_is_coming_in_it_is_not_asked_for():
    session, peer, ask_id = asked(deadline_s=3600)
    peer.give(peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))[:1], 1)
    kinds = []
    for _ in range(6):
        now = fire(session)
        kinds += [(type(message).__name__, now) for message in peer.hears(now)]
    names = [name for name, _ in kinds]
    assert names[:2] == ["Gap", "Gap"], "missing packets are asked for first, then the whole"
    assert "Ask" in names[2:]


def test_a_full_outbox_only_delays_the_repetition():
    session, peer, _ = asked()
    fill(session)
    now = fire(session)
    after = session.next_timer()
    assert after is not None
    assert after > now
    peer.packets(now)
    session.handle_timer(after)
    assert [type(message) for message in peer.hears(after)] == [Ask]


# A peer that lost the question


def forgotten(session: Session, peer: Played, now: float = 20) -> None:
    """The peer restarts, says so when the question is repeated, and gets it whole."""
    (again,) = peer.hears(fire(session))
    assert isinstance(again, Ask)
    assert again.turns == ()
    assert peer.say(Refuse(again.ask_id, RefuseCode.FORGOTTEN), now) == []
    (whole,) = peer.hears(now)
    assert isinstance(whole, Ask)
    assert whole.ask_id == again.ask_id
    assert whole.turns == question()


def test_a_forgotten_question_is_asked_whole_again():
    session, peer, ask_id = asked(expect_s=40)
    peer.say(Accept(ask_id, 0), 1)
    forgotten(session, peer)
    due = session.next_timer()
    assert due is not None
    assert due == pytest.approx(20 + patience_s(40, 2)), "as long as it was expected to take at first"
    assert len(peer.say(AnswerDone(ask_id, 0, "yes", "m", 1), 21)) == 2


def test_text_of_the_forgotten_answer_is_void_once_there_is_other_text():
    session, peer, ask_id = asked()
    assert peer.say(AnswerPiece(ask_id, 0, "old ", run=5), 1) == [AnswerText(ask_id, "old ")]
    forgotten(session, peer)
    assert peer.say(AnswerPiece(ask_id, 1, "answer ", run=9), 21) == []
    assert peer.say(AnswerPiece(ask_id, 0, "new ", run=9), 22) == [
        AnswerRestarted(ask_id),
        AnswerText(ask_id, "new answer "),
    ]
    assert peer.say(AnswerDone(ask_id, 2, "indeed", "m", 2, run=9), 23) == [
        AnswerText(ask_id, "indeed"),
        AnswerFinished(ask_id, "new answer indeed", "m", 2, False),
    ]


def test_parts_of_two_answers_to_one_question_never_mix():
    _, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "old ", run=5), 1)
    peer.say(AnswerPiece(ask_id, 0, "new ", run=9), 2)
    assert peer.say(AnswerPiece(ask_id, 1, "words ", run=5), 3) == [
        AnswerRestarted(ask_id),
        AnswerText(ask_id, "old words "),
    ]
    assert peer.say(AnswerDone(ask_id, 1, "end", "m", 2, run=9), 4) == [
        AnswerRestarted(ask_id),
        AnswerText(ask_id, "new end"),
        AnswerFinished(ask_id, "new end", "m", 2, False),
    ]


def test_a_whole_answer_counts_whatever_pieces_came_before():
    _, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "old ", run=5), 1)
    peer.say(AnswerPiece(ask_id, 3, "words ", run=5), 1)
    assert peer.say(AnswerDone(ask_id, 0, "new", "m", 1), 2)[-1] == AnswerFinished(ask_id, "new", "m", 1, False)


def test_a_repetition_names_the_answer_that_its_pieces_are_of():
    session, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "old ", run=5), 1)
    peer.say(AnswerPiece(ask_id, 3, "new ", run=9), 2)
    (again,) = peer.hears(fire(session))
    assert isinstance(again, Ask)
    assert (again.have, again.run) == (frozenset({3}), 9)


def test_of_too_many_answers_the_one_longest_without_a_part_is_dropped():
    _, peer, ask_id = asked()
    assert limits.RUNS_HELD_MAX == 2
    for number, run in [(0, 1), (0, 2), (2, 1), (0, 3)]:
        peer.say(AnswerPiece(ask_id, number, f"{run} ", run=run))
    peer.say(AnswerPiece(ask_id, 1, "1 ", run=1))
    (*_, finished) = peer.say(AnswerDone(ask_id, 3, "end", "m", 1, run=1))
    assert finished == AnswerFinished(ask_id, "1 1 1 end", "m", 1, False)


def test_the_oldest_of_too_many_answers_is_dropped():
    _, peer, ask_id = asked()
    for run in range(1, limits.RUNS_HELD_MAX + 2):
        peer.say(AnswerPiece(ask_id, 0, f"{run} ", run=run), run)
    last = limits.RUNS_HELD_MAX + 1
    assert peer.say(AnswerDone(ask_id, 1, "end", "m", 1, run=1), 9) == []
    assert peer.say(AnswerDone(ask_id, 1, "end", "m", 1, run=last), 9)[-1] == AnswerFinished(
        ask_id, f"{last} end", "m", 1, False
    )


def test_a_second_word_of_having_forgotten_changes_nothing():
    session, peer, ask_id = asked()
    peer.say(Accept(ask_id, 0), 1)
    forgotten(session, peer)
    assert peer.say(Refuse(ask_id, RefuseCode.FORGOTTEN), 22) == []
    assert peer.hears(22) == []
    assert len(peer.say(AnswerDone(ask_id, 0, "yes", "m", 1), 23)) == 2


def test_a_peer_that_keeps_forgetting_is_believed_to_refuse():
    session, peer, ask_id = asked(deadline_s=3600)
    for _ in range(limits.RESTARTS_MAX):
        peer.say(Accept(ask_id, 0), 1)
        forgotten(session, peer)
    peer.say(Accept(ask_id, 0), 30)
    failed = AskFailed(ask_id, Failure.REFUSED, code=RefuseCode.FORGOTTEN, heard=True)
    assert peer.say(Refuse(ask_id, RefuseCode.FORGOTTEN), 31) == [failed]
