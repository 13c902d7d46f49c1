"""Our own question, facing a peer played by hand: what is shown, when it is asked again, how it ends."""

from __future__ import annotations

import pytest
from protocol_link import Played, asked, drops, events, fill, fire, new_session, patience_s, question

from protocol import limits
from protocol.codec import encode
from protocol.coded import NOTHING_READABLE
from protocol.errors import LocalError, RefuseCode
from protocol.events import (
    AnswerFinished,
    AnswerRestarted,
    AnswerText,
    AskFailed,
    AskPromised,
    Dropped,
    Failure,
)
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Beacon, Busy, Cancel, Refuse
from protocol.session import Session

LONG = "The sky is blue. " * 30
"""Three packets of text."""


def test_a_question_travels_as_it_was_asked():
    session = new_session()
    ask_id = session.ask("!b", question(), deadline_s=60, expect_s=5, now=0, model="m", max_tokens=70)
    assert Played(session).hears() == [Ask(ask_id, "m", 60, 70, question(), packs=NOTHING_READABLE)]


def test_an_answer_in_one_part_is_shown_and_finished():
    _, peer, ask_id = asked()
    assert peer.say(AnswerDone(ask_id, 0, "Because.", "m", 3, True), 4) == [
        AnswerText(ask_id, "Because."),
        AnswerFinished(ask_id, "Because.", "m", 3, True),
    ]


def test_an_empty_answer_is_an_answer():
    _, peer, ask_id = asked()
    assert peer.say(AnswerDone(ask_id, 0, "", "m", 0)) == [AnswerFinished(ask_id, "", "m", 0, False)]


def test_pieces_are_shown_in_order_whatever_order_they_come_in():
    _, peer, ask_id = asked()
    assert peer.say(AnswerPiece(ask_id, 1, "two ")) == []
    assert peer.say(AnswerPiece(ask_id, 0, "one ")) == [AnswerText(ask_id, "one two ")]
    assert peer.say(AnswerDone(ask_id, 3, "four", "m", 4)) == []
    assert peer.say(AnswerPiece(ask_id, 2, "three ")) == [
        AnswerText(ask_id, "three four"),
        AnswerFinished(ask_id, "one two three four", "m", 4, False),
    ]


def test_the_beginning_of_a_long_part_is_shown_while_the_rest_is_on_its_way():
    _, peer, ask_id = asked()
    frames = peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))
    shown = ""
    for frame in frames:
        before = shown
        for event in peer.give([frame]):
            if isinstance(event, AnswerText):
                shown += event.text
        assert len(shown) > len(before)
        assert LONG.startswith(shown)
    assert shown == LONG


def test_the_middle_of_a_long_part_shows_nothing_before_its_beginning():
    _, peer, ask_id = asked()
    first, second, third = peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))
    assert peer.give([second, third]) == []
    assert [type(event) for event in peer.give([first])] == [AnswerText, AnswerFinished]


def test_a_promise_is_told_and_waited_for():
    session, peer, ask_id = asked(expect_s=2)
    assert peer.say(Accept(ask_id, 100), 3) == [AskPromised(ask_id, 100)]
    assert session.next_timer() == 3 + patience_s(100)


def test_busy_and_refused_questions_fail_with_what_the_peer_said():
    _, peer, ask_id = asked()
    assert peer.say(Busy(ask_id, 30, 90)) == [AskFailed(ask_id, Failure.BUSY, retry_after_s=30, heard=True)]
    _, peer, ask_id = asked()
    refuse = Refuse(ask_id, RefuseCode.NO_MODEL, "none here")
    failed = AskFailed(ask_id, Failure.REFUSED, code=RefuseCode.NO_MODEL, reason="none here", heard=True)
    assert peer.say(refuse) == [failed]


@pytest.mark.parametrize("said", [Busy(0, 5, 5), Refuse(0, RefuseCode.ENGINE_FAILED)])
def test_a_peer_may_give_up_after_text_was_shown(said):
    session, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "one "))
    (failed,) = peer.say(Busy(ask_id, 5, 5) if isinstance(said, Busy) else Refuse(ask_id, said.code))
    assert isinstance(failed, AskFailed)
    assert session.next_timer() is None


def test_what_comes_after_the_end_is_dropped():
    session, peer, ask_id = asked()
    peer.say(AnswerDone(ask_id, 0, "yes", "m", 1))
    for late in (
        Busy(ask_id, 5, 5),
        Accept(ask_id, 5),
        AnswerPiece(ask_id, 0, "x"),
        AnswerDone(ask_id, 0, "x", "m", 1),
    ):
        assert peer.say(late) == [Dropped("!b", "it answered a question that is not open with it")]
    assert session.next_timer() is None
    assert peer.hears() == []


def test_another_peer_cannot_answer():
    session, peer, ask_id = asked()
    stranger = Played(session, "!c")
    for said in (Busy(ask_id, 5, 5), AnswerDone(ask_id, 0, "lie", "m", 1)):
        assert stranger.say(said) == [Dropped("!c", "it answered a question that is not open with it")]
    stranger.give(stranger.frames(AnswerDone(ask_id, 0, LONG, "m", 1))[:2])
    assert len(peer.say(AnswerDone(ask_id, 0, "yes", "m", 1))) == 2


def test_an_answer_that_comes_twice_counts_once():
    _, peer, ask_id = asked()
    assert peer.say(AnswerPiece(ask_id, 0, "one ")) == [AnswerText(ask_id, "one ")]
    assert peer.say(AnswerPiece(ask_id, 0, "one ")) == []
    assert peer.say(AnswerPiece(ask_id, 0, "another ")) == []
    assert peer.say(AnswerDone(ask_id, 2, "three", "m", 1)) == []
    assert peer.say(AnswerDone(ask_id, 2, "other", "other", 9)) == []
    assert peer.say(AnswerPiece(ask_id, 1, "two "))[-1] == AnswerFinished(ask_id, "one two three", "m", 1, False)


MISFIT = "a part of its answer does not fit the others"


def test_parts_that_contradict_each_other_are_dropped():
    session, peer, ask_id = asked()
    peer.say(AnswerPiece(ask_id, 0, "one "))
    peer.say(AnswerPiece(ask_id, 4, "five "))
    assert peer.say(AnswerDone(ask_id, 2, "three", "m", 1)) == [Dropped("!b", MISFIT)]
    assert peer.say(AnswerDone(ask_id, 4, "five", "m", 1)) == [Dropped("!b", MISFIT)]
    assert peer.say(AnswerDone(ask_id, 5, "six", "m", 1)) == []
    assert peer.say(AnswerDone(ask_id, 3, "four", "m", 1)) == [Dropped("!b", MISFIT)]
    assert peer.say(AnswerPiece(ask_id, 5, "six")) == [Dropped("!b", MISFIT)]
    assert peer.say(AnswerPiece(ask_id, 6, "seven")) == [Dropped("!b", MISFIT)]
    for number in (1, 2, 3):
        peer.say(AnswerPiece(ask_id, number, f"{number} "))
    assert session.next_timer() is None, "it ended"


def test_an_answer_longer_than_the_limit_is_not_held():
    session, peer, ask_id = asked()
    part = "ß" * (limits.ANSWER_BYTES_MAX // 4)
    assert peer.say(AnswerPiece(ask_id, 0, part))[-1:] != [Dropped("!b", MISFIT)]
    assert peer.say(AnswerPiece(ask_id, 1, part))[-1:] != [Dropped("!b", MISFIT)]
    assert peer.say(AnswerPiece(ask_id, 2, "x")) == [Dropped("!b", MISFIT)]
    assert fire(session, 1) > 0


def test_a_thousand_empty_pieces_make_an_empty_answer():
    _, peer, ask_id = asked()
    for number in range(limits.PIECES_MAX - 1):
        assert peer.say(AnswerPiece(ask_id, number, "")) == []
    last = limits.PIECES_MAX - 1
    assert peer.say(AnswerDone(ask_id, last, "", "m", 0)) == [AnswerFinished(ask_id, "", "m", 0, False)]


def test_fragments_of_another_message_under_the_same_number_void_the_text_shown():
    _, peer, ask_id = asked()
    text, other = LONG * 2, "Nothing of that. " * 60
    right = peer.frames(AnswerDone(ask_id, 0, text, "m", 9), transfer=7)
    wrong = peer.frames(AnswerDone(ask_id, 0, other, "m", 9), transfer=7)
    assert len(right) == len(wrong)
    (begun,) = peer.give([right[0]])
    (mixed,) = peer.give([wrong[1]])
    assert isinstance(begun, AnswerText)
    assert isinstance(mixed, AnswerText)
    void, *texts, finished = peer.say(AnswerDone(ask_id, 0, text, "m", 9))
    assert void == AnswerRestarted(ask_id)
    assert "".join(event.text for event in texts if isinstance(event, AnswerText)) == text
    assert finished == AnswerFinished(ask_id, text, "m", 9, False)


def test_a_shorter_beginning_that_comes_later_takes_nothing_back():
    _, peer, ask_id = asked()
    message = AnswerDone(ask_id, 0, LONG * 2, "m", 9)
    peer.give(peer.frames(message)[:4])
    assert peer.give(peer.frames(message)[:1]) == []


def test_text_shown_by_mistake_is_void_when_the_answer_turns_out_shorter():
    _, peer, ask_id = asked()
    peer.give(peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))[:2])
    assert peer.say(AnswerDone(ask_id, 0, "", "m", 0)) == [
        AnswerRestarted(ask_id),
        AnswerFinished(ask_id, "", "m", 0, False),
    ]


# The end


def test_a_silent_peer_ends_the_question_at_its_deadline():
    session, _, ask_id = asked(deadline_s=5)
    assert session.next_timer() == 5
    session.handle_timer(5)
    assert events(session) == [AskFailed(ask_id, Failure.DEADLINE)]
    assert session.next_timer() is None


def test_a_failure_tells_whether_the_peer_was_heard_at_all():
    session, peer, ask_id = asked(deadline_s=5)
    peer.say(Beacon("house", (), 0, 900, 1, 1), 2)
    session.handle_timer(5)
    assert events(session) == [AskFailed(ask_id, Failure.DEADLINE, heard=True)]


def test_another_peers_beacon_does_not_count_as_hearing_the_one_asked():
    session, _, ask_id = asked(deadline_s=5)
    Played(session, "!c").say(Beacon("house", (), 0, 900, 1, 1), 2)
    session.handle_timer(5)
    assert events(session) == [AskFailed(ask_id, Failure.DEADLINE)]


def test_a_repetition_that_still_waits_when_the_answer_comes_is_not_sent():
    session, peer, ask_id = asked()
    fire(session)
    assert session.packets_waiting == 1
    peer.say(AnswerDone(ask_id, 0, "yes", "m", 1), 12)
    assert session.packets_waiting == 0


def test_giving_a_sent_question_up_tells_the_peer():
    session, peer, ask_id = asked()
    session.cancel(ask_id, 3)
    assert peer.hears(3) == [Cancel(ask_id)]
    assert events(session) == []
    assert session.next_timer() is None
    session.cancel(ask_id, 4)
    assert peer.hears(4) == []


def test_giving_an_unsent_question_up_costs_no_air():
    session = new_session()
    ask_id = session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    session.cancel(ask_id, 1)
    assert session.packets_waiting == 0


def test_giving_a_question_up_while_it_leaves_tells_the_peer():
    session = new_session()
    ask_id = session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    packet = session.next_packet()
    assert packet is not None
    session.cancel(ask_id, 1)
    session.packet_sent(packet, 2)
    assert Played(session).hears(3) == [Cancel(ask_id)]


def test_the_rest_of_a_question_given_up_is_not_sent():
    session = new_session()
    ask_id = session.ask("!b", question(LONG), deadline_s=60, expect_s=0, now=0)
    packet = session.next_packet()
    assert packet is not None
    session.cancel(ask_id, 1)
    session.packet_sent(packet, 2)
    assert session.next_packet() is None
    assert session.next_timer() is None


# What can't be asked


def test_a_conversation_without_turns_is_not_asked():
    with pytest.raises(LocalError, match="There is no question"):
        new_session().ask("!b", (), deadline_s=60, expect_s=0, now=0)


@pytest.mark.parametrize(
    ("text", "deadline_s", "model", "why"),
    [
        ("x" * (limits.QUESTION_BYTES_MAX + 1), 60, "", "longer than"),
        ("x", limits.DEADLINE_S_MAX + 1, "", "outside 0 to 3600"),
        ("x", 60, "m" * 25, "longer than 24"),
        ("\ud800", 60, "", "not Unicode"),
    ],
)
def test_a_question_that_breaks_a_limit_leaves_no_trace(text, deadline_s, model, why):
    session = new_session()
    with pytest.raises(LocalError, match=why):
        session.ask("!b", question(text), deadline_s=deadline_s, expect_s=0, now=0, model=model)
    assert session.packets_waiting == 0
    assert session.next_timer() is None


def test_the_longest_question_can_be_asked():
    session = new_session()
    session.ask("!b", question("x" * limits.QUESTION_BYTES_MAX), deadline_s=60, expect_s=0, now=0)
    (ask,) = Played(session).hears()
    assert isinstance(ask, Ask)
    assert len(ask.turns[0].text) == limits.QUESTION_BYTES_MAX


def test_open_questions_are_bounded():
    session = new_session()
    for _ in range(limits.QUESTIONS_MAX):
        session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    with pytest.raises(LocalError, match="64 are open already"):
        session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    session.handle_timer(60)
    assert session.ask("!b", question(), deadline_s=60, expect_s=0, now=60) is not None


def test_no_question_is_taken_when_nothing_more_can_wait():
    session = new_session()
    fill(session)
    with pytest.raises(LocalError, match="too many messages wait"):
        session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    assert session.next_timer() == 3600, "only the peer's question is held"


def test_ids_of_open_questions_differ_even_when_chance_repeats_itself():
    class Stuck:
        def __init__(self) -> None:
            self.draws = [0, 5, 5, 5, 6]

        def getrandbits(self, bits: int) -> int:
            return self.draws.pop(0)

    session = Session(rng=Stuck(), path_time=lambda frame_bytes, hops: 1.0)
    ids = [session.ask("!b", question(), deadline_s=60, expect_s=0, now=0) for _ in range(2)]
    assert ids == [5, 6]


def test_damage_is_dropped_with_the_reason():
    session, peer, ask_id = asked()
    frame = bytearray(peer.frames(AnswerDone(ask_id, 0, "yes", "m", 1))[0])
    frame[-1] ^= 1
    session.receive(bytes(frame), "!b", 1)
    assert drops(session) == ["A frame was dropped: its check does not fit: damaged on the way, or another program's."]
    assert encode(Cancel(1)) not in bytes(frame)
