"""A session as a whole: what arrives in parts, what is asked for, timers, news and floods."""

from __future__ import annotations

from random import Random

import pytest
from protocol_link import Played, drops, events, new_session, path_time_s, question

from protocol import limits
from protocol.codec import encode
from protocol.errors import LocalError, RefuseCode
from protocol.events import AskReceived, BeaconHeard, Dropped, WhoHeard
from protocol.fragments import split
from protocol.messages import AnswerDone, AnswerPiece, Ask, Beacon, Cancel, Gap, Refuse, Who
from protocol.session import Session

LONG = "The sky is blue. " * 60
"""Six packets of text."""
LONG_ASK = Ask(7, "", 3600, 0, question(LONG))
QUIET_S = 2 * path_time_s(limits.FRAME_BYTES_MAX, 3) + 1
BEACON = Beacon("house", (), 5, 900, 1, 1)
GIVEN_UP = "parts of a message never came"


def test_news_are_told_with_who_sent_them_and_from_how_far():
    session = new_session()
    assert Played(session).say(BEACON, hops=2) == [BeaconHeard("!b", BEACON, 2)]
    assert Played(session, "!c").say(Who()) == [WhoHeard("!c")]
    assert session.hops_to("!b") == 2
    assert session.hops_to("!c") == 0


def test_announcements_go_to_everyone_and_keep_to_the_limits():
    session = new_session()
    session.announce(Who())
    session.announce(BEACON)
    assert [(packet.kind, packet.peer) for packet in Played(session).packets()] == [("Who", None), ("Beacon", None)]
    with pytest.raises(LocalError, match="longer than 24"):
        session.announce(Beacon("n" * 25, (), 0, 900, 1, 1))


def test_an_unknown_or_impossible_distance_takes_the_place_of_none():
    session = new_session()
    peer = Played(session)
    session.receive(peer.frames(BEACON)[0], "!b", 0)
    assert session.hops_to("!b") == 0
    peer.say(BEACON, hops=2)
    for unknown in (0, -6):
        peer.say(BEACON, hops=unknown)
        assert session.hops_to("!b") == 2


def test_distances_are_remembered_for_the_peers_heard_last():
    session = new_session()
    for number in range(limits.PEERS_MAX + 1):
        Played(session, f"!{number}").say(BEACON, hops=1)
    assert session.hops_to("!0") == 0
    assert session.hops_to("!1") == 1
    Played(session, "!1", first_transfer=1).say(BEACON, hops=1)
    Played(session, "!new").say(BEACON, hops=1)
    assert session.hops_to("!1") == 1
    assert session.hops_to("!2") == 0


def test_a_near_peer_is_waited_for_less_than_a_far_one():
    waits = []
    for hops in (1, 4):
        session = new_session()
        Played(session).say(BEACON, hops=hops)
        session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
        Played(session).packets(0)
        waits.append(session.next_timer())
    assert waits == [pytest.approx(1.6 * hops + 1) for hops in (1, 4)]


def test_an_unknown_message_is_dropped_and_named():
    session = new_session()
    session.receive(split(bytes([200]) + encode(Who())[1:], 0)[0], "!b", 0)
    assert drops(session) == ["A message was ignored: number 200 is not known to this version."]


# Parts that don't come


def test_missing_parts_are_asked_for_once_the_sender_is_quiet():
    session = new_session()
    peer = Played(session)
    frames = peer.frames(LONG_ASK)
    peer.give([frames[0], frames[2], frames[5]], 10)
    assert session.next_timer() == 10 + QUIET_S
    session.handle_timer(10 + QUIET_S)
    assert peer.hears() == [Gap(0, frozenset({1, 3, 4}))]
    assert peer.give([frames[1], frames[3], frames[4]], 25) == [AskReceived("!b", LONG_ASK)]
    assert session.next_timer() == 25 + 3600


def test_a_silent_sender_is_asked_ever_more_rarely_and_then_given_up():
    session = new_session()
    peer = Played(session)
    peer.give(peer.frames(LONG_ASK)[:3], 0)
    times = []
    while (now := session.next_timer()) is not None:
        session.handle_timer(now)
        times.append((now, [type(message).__name__ for message in peer.hears(now)]))
    assert times == [(QUIET_S * (2**n - 1), ["Gap"] if n <= limits.GAPS_MAX else []) for n in range(1, 5)]
    assert drops(session) == [f"3 {GIVEN_UP}"]


def test_a_sender_that_goes_on_is_asked_again_soon():
    session = new_session()
    peer = Played(session)
    frames = peer.frames(LONG_ASK)
    peer.give(frames[:1], 0)
    for now in (100, 200, 300, 400, 500):
        session.handle_timer(now - 1)
        peer.packets(now - 1)
        peer.give([frames[now // 100 - 1]], now)
        assert session.next_timer() == now + QUIET_S


def test_a_number_given_again_starts_with_fresh_patience():
    session = new_session()
    peer = Played(session)
    for message in (LONG_ASK, Ask(8, "", 60, 0, question(LONG))):
        frames = peer.frames(message, transfer=3)
        peer.give(frames[:-1], 0)
        for _ in range(limits.GAPS_MAX):
            due = session.next_timer()
            assert due is not None
            session.handle_timer(due)
        assert [event.ask for event in peer.give(frames[-1:], 90) if isinstance(event, AskReceived)] == [message]
        assert not [event for event in events(session) if isinstance(event, Dropped)]


def test_a_stranger_is_asked_for_nothing():
    session = new_session(serves=lambda peer: False)
    peer = Played(session)
    peer.give(peer.frames(LONG_ASK)[:2], 0)
    session.handle_timer(QUIET_S)
    assert session.packets_waiting == 0
    assert drops(session) == [f"4 {GIVEN_UP}"]
    assert session.next_timer() is None


def test_a_node_that_serves_nobody_still_asks_for_parts_of_its_answer():
    session = new_session(serves=lambda peer: False)
    peer = Played(session)
    ask_id = session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
    peer.packets(0)
    frames = peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))
    peer.give([frames[0], frames[-1]], 1)
    session.handle_timer(1 + QUIET_S)
    assert [type(message) for message in peer.hears(9)] == [Gap]
    peer.give(frames[2:3], 9)
    assert session.next_timer() == 9 + QUIET_S


def test_parts_of_an_answer_whose_beginning_is_missing_are_asked_for():
    session = new_session(serves=lambda peer: False)
    peer = Played(session)
    ask_id = session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
    peer.packets(0)
    peer.give(peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))[1:], 1)
    session.handle_timer(1 + QUIET_S)
    assert peer.hears(9) == [Gap(0, frozenset({0}))]


def test_an_answer_that_nobody_waits_for_is_not_asked_for():
    session = new_session()
    peer = Played(session)
    ask_id = session.ask("!b", question(), deadline_s=600, expect_s=0, now=0)
    peer.packets(0)
    peer.give(peer.frames(AnswerDone(ask_id, 0, LONG, "m", 9))[:3], 1)
    session.cancel(ask_id, 2)
    peer.packets(2)
    session.handle_timer(1 + QUIET_S)
    assert session.packets_waiting == 0
    assert drops(session) == [f"3 {GIVEN_UP}"]


def test_a_peer_gets_the_parts_it_lacks():
    session = new_session()
    peer = Played(session)
    session.ask("!b", question(LONG), deadline_s=600, expect_s=0, now=0)
    packets = peer.packets(0)
    peer.say(Gap(packets[0].transfer, frozenset({1, 4})), 5)
    assert peer.packets(5) == [packets[1], packets[4]]


def test_a_gap_about_what_is_no_longer_held_is_dropped():
    session = new_session()
    peer = Played(session)
    for frame in peer.frames(Gap(9, frozenset({1}))):
        session.receive(frame, "!b", 0)
    assert drops(session) == ["it asked for parts of a message that is no longer held"]


def test_a_flood_of_gaps_queues_nothing_twice():
    session = new_session()
    peer = Played(session)
    session.ask("!b", question(LONG), deadline_s=600, expect_s=0, now=0)
    first, *rest = peer.packets(0)
    rng = Random(1)
    for _ in range(1000):
        peer.say(Gap(first.transfer, frozenset(rng.sample(range(255), 20))))
        peer.say(Gap(first.transfer, frozenset()))
    assert session.packets_waiting == 1 + len(rest)


def test_a_message_of_mixed_parts_is_dropped_and_can_come_again():
    session = new_session()
    peer = Played(session)
    text = "Why is that so, and not otherwise? " * 20
    old = peer.frames(Ask(1, "", 60, 0, question(LONG[: len(text)])), transfer=4)
    new = peer.frames(Ask(2, "", 60, 0, question(text)), transfer=4)
    assert len(old) == len(new)
    for frame in (old[0], *new[1:]):
        session.receive(frame, "!b", 0)
    assert drops(session) == ["A message was dropped: its parts do not fit together."]
    assert [type(event) for event in peer.give(new)] == [AskReceived]


# Timers and floods


def test_a_session_at_rest_has_no_timer():
    session = new_session()
    assert session.next_timer() is None
    session.handle_timer(1e9)
    assert session.next_event() is None


def test_no_timer_is_due_again_right_after_it_was_handled():
    session = new_session()
    peer = Played(session)
    for number in range(5):
        session.ask("!b", question(), deadline_s=100 + number, expect_s=number, now=0)
        peer.give(peer.frames(Ask(number, "", 50, 0, question(LONG)))[: number + 1], number)
    handled = 0
    while (now := session.next_timer()) is not None:
        session.handle_timer(now)
        after = session.next_timer()
        assert after is None or after > now
        peer.packets(now)
        handled += 1
        assert handled < 200


def test_a_flood_from_many_strangers_stays_within_the_limits():
    session = new_session()
    rng = Random(7)
    asker = Played(session, "!home")
    session.ask("!home", question(), deadline_s=3600, expect_s=0, now=0)
    for number in range(3000):
        peer = Played(session, f"!{rng.randrange(400)}", first_transfer=rng.randrange(256))
        message = rng.choice(
            [
                Ask(number, "", 3600, 0, question(LONG)),
                Ask(number, "", 3600, 0, question()),
                Ask(number, "", 3600, 0, ()),
                AnswerPiece(number, rng.randrange(1024), LONG),
                Refuse(number, RefuseCode.FORGOTTEN),
                Gap(rng.randrange(256), frozenset()),
                Cancel(number),
                BEACON,
            ]
        )
        frames = peer.frames(message)
        peer.give(rng.sample(frames, rng.randint(1, len(frames))), number / 100, hops=1)
        session.handle_timer(number / 100)
    assert session.packets_waiting <= 2 + limits.REPLIES_WAITING_MAX
    assert len(session._requests) == limits.ASKS_HELD_MAX
    assert len(session._reassembler.incomplete) <= limits.PARTIAL_TRANSFERS_MAX
    assert len(session._hops) == limits.PEERS_MAX
    assert [packet.kind for packet in asker.packets(30) if packet.peer == "!home"] == ["Ask"]


def test_sessions_differ_by_the_randomness_they_get():
    ids = {
        Session(rng=Random(seed), path_time=path_time_s).ask("!b", question(), deadline_s=9, expect_s=0, now=0)
        for seed in range(50)
    }
    assert len(ids) == 50


def test_what_waits_to_be_sent_can_be_looked_at():
    session = new_session()
    assert session.peek_packet() is None
    ask_id = session.ask("!b", question(), deadline_s=60, expect_s=0, now=0)
    assert [packet.ask_id for packet in session.waiting()] == [ask_id]
    assert session.peek_packet() == session.next_packet()
    assert list(session.waiting()) == []
