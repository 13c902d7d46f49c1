"""What waits to be sent, in which order, and how little of it a peer can make us hold."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.codec import encode
from protocol.errors import LocalError, RefuseCode
from protocol.messages import (
    Accept,
    AnswerDone,
    AnswerPiece,
    Ask,
    Beacon,
    Busy,
    Cancel,
    Gap,
    Message,
    Refuse,
    Role,
    Turn,
    Who,
)
from protocol.outbox import Outbox, Packet

LONG = "x" * 500
"""Text that takes three packets."""


def new_outbox(first_transfer: int) -> Outbox:
    return Outbox(first_transfer, lambda message, peer: encode(message))


def ask(ask_id: int, text: str = "Why?") -> Ask:
    return Ask(ask_id, "", 60, 0, (Turn(Role.USER, text),))


def beacon(backlog_s: int = 0) -> Beacon:
    return Beacon("house", (), backlog_s, 900, 1, 1)


def take_all(outbox: Outbox) -> list[Packet]:
    packets = []
    while (packet := outbox.next()) is not None:
        packets.append(packet)
    assert len(outbox) == 0
    return packets


def kinds(outbox: Outbox) -> list[str]:
    return [packet.kind for packet in take_all(outbox)]


def test_replies_go_first_then_news_and_questions_then_answers():
    outbox = new_outbox(0)
    waiting: list[tuple[Message, str | None]] = [
        (beacon(), None),
        (AnswerPiece(1, 0, "a"), "!b"),
        (AnswerDone(1, 1, "b", "m", 1), "!b"),
        (ask(2), "!b"),
        (Who(), None),
        (Gap(1, frozenset()), "!b"),
        (Accept(1, 5), "!b"),
        (Busy(3, 5, 5), "!b"),
        (Refuse(4, RefuseCode.NO_MODEL), "!b"),
        (Cancel(5), "!b"),
    ]
    for message, peer in waiting:
        assert outbox.queue(message, peer)
    assert len(outbox) == len(waiting)
    assert kinds(outbox) == [
        *("Gap", "Accept", "Busy", "Refuse", "Cancel"),
        *("Beacon", "Ask", "Who", "AnswerPiece", "AnswerDone"),
    ]


def test_a_packet_tells_what_it_is():
    outbox = new_outbox(258)
    outbox.queue(AnswerDone(77, 0, LONG, "m", 1), "!b")
    first, second, third = take_all(outbox)
    assert (first.peer, first.kind, first.ask_id, first.transfer, first.index, first.total, first.last) == (
        *("!b", "AnswerDone", 77, 2, 0, 3),
        False,
    )
    assert (second.index, second.last, third.index, third.last) == (1, False, 2, True)


def test_news_belong_to_no_peer_and_no_question():
    outbox = new_outbox(0)
    outbox.queue(beacon(), None)
    (packet,) = take_all(outbox)
    assert packet.ask_id is None
    assert packet.peer is None


def test_a_message_that_breaks_a_limit_is_not_queued():
    outbox = new_outbox(0)
    with pytest.raises(LocalError, match="longer than 80"):
        outbox.queue(Refuse(1, RefuseCode.NO_MODEL, "x" * 81), "!b")
    assert len(outbox) == 0


def test_transfer_numbers_wrap_without_two_at_once():
    outbox = new_outbox(254)
    numbers = []
    for ask_id in range(600):
        outbox.queue(ask(ask_id), "!b")
        packet = outbox.next()
        assert packet is not None
        numbers.append(packet.transfer)
    assert numbers[:4] == [254, 255, 0, 1]
    for start in range(len(numbers) - limits.OUTGOING_TRANSFERS_MAX):
        window = numbers[start : start + limits.OUTGOING_TRANSFERS_MAX]
        assert len(set(window)) == len(window)


def test_a_number_in_use_is_skipped():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(0, 0, "waits"), "!b")
    for ask_id in range(1, 300):
        outbox.queue(ask(ask_id), "!b")
        packet = outbox.next()
        assert packet is not None
        assert packet.transfer != 0
    assert [packet.transfer for packet in take_all(outbox)] == [0]


def test_missing_packets_are_sent_again_in_order_and_only_they():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(1, 0, LONG), "!b")
    first = take_all(outbox)
    assert outbox.queue_again("!b", 0, {2, 0, 200})
    assert take_all(outbox) == [first[0], first[2]]
    assert outbox.queue_again("!b", 0, ())
    assert take_all(outbox) == first


def test_packets_that_still_wait_are_not_queued_twice():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(1, 0, LONG), "!b")
    first = outbox.next()
    for _ in range(100):
        assert outbox.queue_again("!b", 0, {0, 1})
    assert [packet.index for packet in take_all(outbox)] == [1, 2, 0]
    assert first is not None
    assert first.index == 0


def test_asking_again_for_parts_that_do_not_exist_sends_nothing():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(1, 0, "x"), "!b")
    take_all(outbox)
    assert outbox.queue_again("!b", 0, {200})
    assert take_all(outbox) == []


def test_only_the_peer_that_a_message_was_for_gets_it_again():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(1, 0, "x"), "!b")
    outbox.queue(beacon(), None)
    take_all(outbox)
    assert not outbox.queue_again("!c", 0, ())
    assert not outbox.queue_again("!b", 1, ())
    assert not outbox.queue_again("!b", 2, ())
    assert len(outbox) == 0


def test_a_message_is_repeated_under_its_number_while_it_is_held_and_under_a_new_one_afterwards():
    outbox = new_outbox(0)
    part = AnswerPiece(1, 0, "x")
    outbox.queue(part, "!b")
    (first,) = take_all(outbox)
    assert outbox.repeat(part, "!b")
    assert take_all(outbox) == [first]
    for ask_id in range(limits.OUTGOING_TRANSFERS_MAX):
        outbox.queue(ask(ask_id), "!b")
        outbox.next()
    assert not outbox.queue_again("!b", first.transfer, ())
    assert outbox.repeat(part, "!b")
    (again,) = take_all(outbox)
    assert again.transfer != first.transfer
    assert again.kind == "AnswerPiece"


def test_what_waits_is_kept_and_what_was_sent_makes_room():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(0, 0, "waits"), "!b")
    for ask_id in range(limits.OUTGOING_TRANSFERS_MAX * 2):
        assert outbox.queue(ask(ask_id), "!b")
        outbox.next()
    assert kinds(outbox) == ["AnswerPiece"]


def test_a_full_outbox_takes_nothing_more_until_something_is_sent():
    outbox = new_outbox(0)
    for number in range(limits.OUTGOING_TRANSFERS_MAX):
        assert outbox.queue(AnswerPiece(1, number, "x"), "!b")
    assert not outbox.queue(AnswerPiece(1, 999, "x"), "!b")
    assert not outbox.queue(Cancel(1), "!b")
    assert len(outbox) == limits.OUTGOING_TRANSFERS_MAX
    outbox.next()
    assert outbox.queue(AnswerPiece(1, 999, "x"), "!b")


def test_a_peer_can_make_us_hold_few_replies():
    outbox = new_outbox(0)
    queued = [outbox.queue(Refuse(ask_id, RefuseCode.FORGOTTEN), "!b") for ask_id in range(20)]
    assert queued.count(True) == limits.REPLIES_WAITING_PER_PEER_MAX
    assert outbox.queue(Refuse(1, RefuseCode.FORGOTTEN), "!c")


def test_many_peers_together_can_make_us_hold_few_replies():
    outbox = new_outbox(0)
    queued = [outbox.queue(Refuse(1, RefuseCode.FORGOTTEN), f"!{number}") for number in range(100)]
    assert queued.count(True) == limits.REPLIES_WAITING_MAX
    assert outbox.queue(ask(1), "!b"), "our own questions still have room"


def test_news_in_place_of_older_news_that_waits():
    outbox = new_outbox(0)
    for backlog_s in range(500):
        assert outbox.queue(beacon(backlog_s), None)
    (packet,) = take_all(outbox)
    assert packet.frame.endswith(encode(beacon(499)))


def test_a_newer_promise_takes_the_place_of_one_that_waits_but_not_of_another_questions():
    outbox = new_outbox(0)
    outbox.queue(Accept(1, 5), "!b")
    outbox.queue(Accept(2, 5), "!b")
    outbox.queue(Accept(1, 5), "!c")
    outbox.queue(Accept(1, 9), "!b")
    packets = take_all(outbox)
    assert [(packet.peer, packet.ask_id) for packet in packets] == [("!b", 2), ("!c", 1), ("!b", 1)]
    assert packets[-1].frame.endswith(encode(Accept(1, 9)))


def test_parts_of_an_answer_do_not_take_each_others_place():
    outbox = new_outbox(0)
    outbox.queue(AnswerPiece(1, 0, "a"), "!b")
    outbox.queue(AnswerPiece(1, 1, "b"), "!b")
    outbox.queue(Gap(4, frozenset({1})), "!b")
    outbox.queue(Gap(5, frozenset({1})), "!b")
    assert kinds(outbox) == ["Gap", "Gap", "AnswerPiece", "AnswerPiece"]


def test_a_message_that_has_begun_to_leave_is_finished():
    outbox = new_outbox(0)
    outbox.queue(ask(1, LONG), "!b")
    outbox.next()
    outbox.queue(ask(1, LONG), "!b")
    assert len(take_all(outbox)) == 2 + 3


def test_dropping_a_question_leaves_the_others():
    outbox = new_outbox(0)
    outbox.queue(ask(1, LONG), "!b")
    outbox.queue(ask(1), "!c")
    outbox.queue(ask(2), "!b")
    outbox.next()
    outbox.drop("!b", 1)
    assert [(packet.peer, packet.ask_id) for packet in take_all(outbox)] == [("!c", 1), ("!b", 2)]
    assert not outbox.queue_again("!b", 0, ())


def test_it_is_known_whether_a_transfer_waits():
    outbox = new_outbox(0)
    assert not outbox.waits(0)
    outbox.queue(ask(1, LONG), "!b")
    assert outbox.waits(0)
    take_all(outbox)
    assert not outbox.waits(0)


def test_the_number_of_a_message_that_was_dropped_is_not_given_again_at_once():
    outbox = new_outbox(0)
    outbox.queue(ask(1), "!b")
    outbox.drop("!b", 1)
    outbox.queue(ask(2), "!b")
    assert [packet.transfer for packet in take_all(outbox)] == [1]


def test_the_peer_that_had_least_comes_first_but_what_has_begun_goes_on():
    outbox = new_outbox(0)
    had = {"!a": 9.0, "!b": 1.0}
    outbox.queue(AnswerDone(1, 0, "x" * 300), "!a")
    assert outbox.next(lambda peer: had[peer]).peer == "!a"
    outbox.queue(AnswerDone(2, 0, "y"), "!a")
    outbox.queue(AnswerDone(3, 0, "z"), "!b")
    assert {packet.ask_id for packet in outbox.waiting()} == {1, 2, 3}
    assert outbox.peek(lambda peer: had[peer]).ask_id == 1
    assert [outbox.next(lambda peer: had[peer]).ask_id for _ in range(3)] == [1, 3, 2]
    assert list(outbox.waiting()) == []
    assert outbox.peek() is None
