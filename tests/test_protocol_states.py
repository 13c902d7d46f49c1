"""The transition tables: complete where they must be, closed for good where they say so."""

from __future__ import annotations

import pytest

from protocol.states import ANSWERER, ASKER, Answering, AnsweringInput, Asking, AskingInput, Do


@pytest.mark.parametrize("state", [state for state in Asking if state is not Asking.CLOSED])
@pytest.mark.parametrize("what", AskingInput)
def test_an_open_question_of_ours_takes_every_input(state, what):
    assert (state, what) in ASKER


def test_a_closed_question_stays_closed():
    assert not [pair for pair in ASKER if pair[0] is Asking.CLOSED]
    assert not [pair for pair in ANSWERER if pair[0] is Answering.CLOSED]


@pytest.mark.parametrize("what", [AskingInput.DEADLINE, AskingInput.CANCEL, AskingInput.WHOLE, AskingInput.REFUSE])
def test_every_end_closes_our_question_from_anywhere(what):
    assert {after for (_, given), (after, _) in ASKER.items() if given is what} == {Asking.CLOSED}


def test_our_question_ends_with_exactly_one_ending():
    endings = {Do.FAIL_BUSY, Do.FAIL_REFUSED, Do.FAIL_DEADLINE, Do.FINISH, Do.SEND_CANCEL}
    for after, do in ASKER.values():
        assert (after is Asking.CLOSED) == (do in endings)


@pytest.mark.parametrize("state", [state for state in Answering if state is not Answering.CLOSED])
@pytest.mark.parametrize("what", [AnsweringInput.AGAIN, AnsweringInput.CANCEL, AnsweringInput.EXPIRE])
def test_a_held_question_takes_whatever_a_peer_or_the_clock_brings(state, what):
    assert (state, what) in ANSWERER


def test_work_is_stopped_exactly_when_there_is_some():
    under_way = {Answering.ASKED, Answering.PROMISED}
    for (state, what), (_, do) in ANSWERER.items():
        if what in (AnsweringInput.CANCEL, AnsweringInput.EXPIRE):
            assert do is (Do.STOP if state in under_way else Do.FORGET)


def test_every_state_is_reached_and_every_action_is_used():
    assert {after for after, _ in ASKER.values()} == set(Asking)
    assert {after for after, _ in ANSWERER.values()} | {Answering.ASKED} == set(Answering)
    used = {do for _, do in (*ASKER.values(), *ANSWERER.values())}
    assert used | {Do.NOTHING} == set(Do)


def test_declined_and_answered_questions_are_never_worked_on_again():
    for (state, _), (after, _) in ANSWERER.items():
        if state in (Answering.ANSWERED, Answering.DECLINED):
            assert after in (state, Answering.CLOSED)
