"""Whatever arrives, a session neither raises nor grows: random bytes, damaged frames, nonsense with a good check."""

from __future__ import annotations

from binascii import crc32
from random import Random

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from protocol_link import Played, events, new_session, question
from test_protocol_machine import check_bounds

from protocol.codec import encode
from protocol.errors import RefuseCode
from protocol.events import AnswerFinished, Dropped
from protocol.fragments import split
from protocol.messages import NUMBERS, Accept, AnswerDone, AnswerPiece, Ask, Busy, Cancel, Gap, Refuse
from protocol.session import Session

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=30),
        st.binary(max_size=30),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.integers(0, 9), inner, max_size=5)),
    max_leaves=15,
)
bodies = st.one_of(
    st.builds(
        lambda number, fields, tail: bytes([number]) + msgpack.packb(fields) + tail,
        st.sampled_from([*NUMBERS.values(), 99]),
        st.one_of(st.dictionaries(st.integers(0, 7), values, max_size=7), values),
        st.binary(max_size=300),
    ),
    st.binary(max_size=600),
)


def busy_session() -> tuple[Session, list[int]]:
    """A session with questions open both ways."""
    session = new_session()
    ids = [session.ask("!b", question(), deadline_s=600, expect_s=5, now=0) for _ in range(3)]
    peer = Played(session)
    for ask_id in range(3):
        peer.say(Ask(ask_id, "", 600, 0, question()))
    session.answer("!b", AnswerPiece(1, 0, "x" * 500))
    peer.packets()
    return session, ids


@given(st.lists(st.binary(max_size=210), max_size=30))
def test_random_bytes_are_dropped(frames):
    session, _ = busy_session()
    for frame in frames:
        session.receive(frame, "!b", 1)
    assert [type(event) for event in events(session)] == [Dropped] * len(frames)
    check_bounds(session)


@given(st.lists(st.tuples(bodies, st.integers(0, 255), st.sampled_from(["!b", "!c"])), max_size=15))
def test_messages_of_nonsense_do_no_harm(arriving):
    session, _ = busy_session()
    for now, (body, transfer, peer) in enumerate(arriving):
        for frame in split(body, transfer):
            session.receive(frame, peer, now)
        events(session)
        check_bounds(session)
    drain(session)


@given(st.lists(st.tuples(st.binary(max_size=192), st.sampled_from([1, 1, 1, 0, 2])), max_size=30))
def test_frames_whose_check_fits_but_whose_rest_is_random_do_no_harm(arriving):
    session, _ = busy_session()
    for body, kind in arriving:
        session.receive(bytes([kind]) + crc32(body, crc32(b"meshai 1")).to_bytes(4, "big") + body, "!b", 1)
    check_bounds(session)
    drain(session)


def drain(session: Session) -> None:
    """Every timer that is left ends, and so does everything held."""
    steps = 0
    while (due := session.next_timer()) is not None:
        session.handle_timer(due)
        after = session.next_timer()
        assert after is None or after > due
        events(session)
        steps += 1
        assert steps < 1000


@given(st.randoms(use_true_random=False))
def test_a_peer_that_says_true_and_false_things_in_any_order_gets_at_most_one_answer_each(rng):
    session, ids = busy_session()
    peer = Played(session)
    finished = []
    for now in range(60):
        ask_id = rng.choice([*ids, 1, 2, 99])
        text = rng.choice(["", "x", "ü" * 150])
        message = rng.choice(
            [
                AnswerPiece(ask_id, rng.choice([0, 1, 2, 1023]), text),
                AnswerDone(ask_id, rng.choice([0, 1, 2, 1023]), text, "m", 1),
                Accept(ask_id, rng.randint(0, 3600)),
                Busy(ask_id, 5, 5) if rng.random() < 0.05 else Cancel(ask_id),
                Refuse(ask_id, RefuseCode.FORGOTTEN),
                Ask(
                    ask_id,
                    "",
                    rng.randint(0, 3600),
                    0,
                    rng.choice([(), question()]),
                    rng.choice([None, frozenset({0})]),
                ),
                Gap(rng.randrange(8), frozenset(rng.sample(range(8), 3))),
            ]
        )
        frames = split(encode(message), rng.randrange(8))
        rng.shuffle(frames)
        for frame in frames[: rng.randint(1, len(frames))]:
            session.receive(frame, "!b", now)
        session.handle_timer(now)
        peer.packets(now)
        finished += [event.ask_id for event in events(session) if isinstance(event, AnswerFinished)]
        check_bounds(session)
    assert len(finished) == len(set(finished))
    drain(session)


def test_a_million_frames_worth_of_memory_is_not_kept():
    session = new_session()
    rng = Random(3)
    filler = encode(AnswerPiece(1, 0, "x" * 32_000))
    for number in range(300):
        frames = split(filler[: rng.randrange(300, len(filler))], number % 256)
        for frame in frames[:-1:7]:
            session.receive(frame, f"!{number % 50}", number)
        events(session)
        check_bounds(session)
    drain(session)
