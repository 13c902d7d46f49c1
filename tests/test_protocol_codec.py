"""Messages to bytes and back: everything that a peer may send is read, everything else is refused."""

from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.codec import UnknownMessageError, decode, decode_answer_prefix, encode, from_bitmap, to_bitmap
from protocol.errors import LocalError, RefuseCode, RemoteError
from protocol.messages import (
    NUMBERS,
    Accept,
    AnswerDone,
    AnswerPiece,
    Ask,
    Beacon,
    Busy,
    Cancel,
    Gap,
    ModelOffer,
    Refuse,
    Role,
    Turn,
    Who,
)


def utf8(bytes_max: int) -> st.SearchStrategy[str]:
    return st.text(max_size=bytes_max).filter(lambda text: len(text.encode()) <= bytes_max)


ids = st.integers(0, limits.UINT32_MAX)
uint16 = st.integers(0, 0xFFFF)
seconds = st.integers(0, limits.DEADLINE_S_MAX)
names = utf8(limits.NAME_BYTES_MAX)
pieces = st.integers(0, limits.PIECES_MAX - 1)
offers = st.builds(ModelOffer, names, st.integers(1, 0xFFFF), ids)
messages = st.one_of(
    st.builds(Beacon, names, st.lists(offers, max_size=3).map(tuple), uint16, uint16, uint16, uint16),
    st.builds(Who),
    st.builds(
        Ask,
        ids,
        names,
        seconds,
        st.integers(0, limits.TOKENS_MAX),
        st.lists(st.builds(Turn, st.sampled_from(Role), utf8(300)), max_size=limits.TURNS_MAX).map(tuple),
        st.one_of(st.none(), st.frozensets(pieces)),
        uint16,
    ),
    st.builds(Accept, ids, seconds),
    st.builds(Busy, ids, uint16, uint16),
    st.builds(AnswerPiece, ids, pieces, utf8(1000), uint16),
    st.builds(AnswerDone, ids, pieces, utf8(1000), names, ids, st.booleans(), uint16),
    st.builds(Refuse, ids, st.sampled_from(RefuseCode), utf8(limits.REASON_BYTES_MAX)),
    st.builds(Cancel, ids),
    st.builds(Gap, st.integers(0, 255), st.frozensets(st.integers(0, limits.FRAGMENTS_MAX - 1))),
)

ASK = Ask(7, "m", 60, 100, (Turn(Role.USER, "Why?"),))


ID = (5).to_bytes(4, "big")
CANCEL = b"\x09" + ID


def wire(number: int, fields: object, tail: bytes = b"") -> bytes:
    return bytes([number]) + (b"" if number in (1, 2, 10) else ID) + msgpack.packb(fields) + tail


@given(messages)
def test_every_message_comes_back_as_it_was(message):
    assert decode(encode(message)) == message


@given(messages)
def test_no_beginning_of_a_message_is_taken_for_a_message(message):
    data = encode(message)
    if not isinstance(message, Ask | AnswerPiece | AnswerDone):
        for end in range(len(data)):
            with pytest.raises(RemoteError):
                decode(data[:end])


@given(
    st.one_of(st.builds(AnswerPiece, ids, pieces, utf8(60)), st.builds(AnswerDone, ids, pieces, utf8(60), names, ids))
)
def test_the_beginning_of_an_answer_shows_the_beginning_of_its_text(answer):
    data = encode(answer)
    whole_fields = len(data) - len(answer.text.encode()) - 1
    for end in range(len(data) + 1):
        begun = decode_answer_prefix(data[:end])
        if end < whole_fields:
            assert begun is None
        else:
            assert begun is not None
            assert answer.text.startswith(begun.text)
            assert len(answer.text.encode()) - len(begun.text.encode()) < len(data) - end + 4
    assert decode_answer_prefix(data) == answer


def test_only_answers_have_a_beginning_worth_showing():
    assert decode_answer_prefix(encode(ASK)) is None
    assert decode_answer_prefix(b"") is None


def test_fields_at_their_default_cost_nothing():
    assert encode(AnswerDone(5, 0, "yes", "m", 0)) == wire(7, {3: "m"}, b"\0yes")
    assert encode(AnswerDone(5, 0, "yes")) == wire(7, {}, b"\0yes")
    assert encode(Ask(5, "", 300, 0, ASK.turns)) == wire(3, {}, b"\0Why?")
    assert encode(Who()) == b"\x02\x80"


def test_a_repetition_that_has_nothing_differs_from_a_first_question():
    assert decode(encode(Ask(1, "", 60, 0, (), frozenset()))).have == frozenset()
    assert decode(encode(Ask(1, "", 60, 0, ()))).have is None


def test_fields_of_newer_versions_are_ignored():
    assert decode(wire(9, {2: "new", 99: [1, {2: 3}], "x": None})) == Cancel(5)
    assert decode(wire(3, {3: 60, 5: [[0, 1, *range(62)]]}, b"\0x")).turns == (Turn(Role.USER, "x"),)
    offer = ["m", 10, 2048, *range(61)]
    assert decode(wire(1, {1: "n", 2: [offer], 4: 900})).models == (ModelOffer("m", 10, 2048),)
    assert decode(wire(8, {2: 200})) == Refuse(5, RefuseCode.UNKNOWN)


def test_a_message_of_a_newer_version_is_told_apart_from_a_bad_one():
    with pytest.raises(UnknownMessageError, match="number 77"):
        decode(wire(77, {}))


def test_a_model_without_measured_speed_counts_as_slow():
    assert decode(wire(1, {1: "n", 2: [["m", 0, 0]], 4: 900})).models[0].tokens_per_s == 1


NESTED = b"\x91" * 2000 + b"\xc0"
DEEP_AND_WIDE = b"\xdd\x00\x00\xb0\x00" * 1000


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "0 bytes", id="nothing"),
        pytest.param(b"\x03", "1 bytes", id="a number alone"),
        pytest.param(CANCEL + b"\x80" + bytes(limits.MESSAGE_BYTES_MAX), "are no message", id="too long"),
        pytest.param(CANCEL + b"\xc1", "not msgpack", id="a byte that msgpack never uses"),
        pytest.param(CANCEL + b"\x81\x01", "not msgpack", id="cut short"),
        pytest.param(CANCEL + b"\x81\x91\x01\x05", "not msgpack", id="a list as key"),
        pytest.param(CANCEL + b"\x82\x01\x05\x02" + NESTED, "not msgpack", id="lists in lists without end"),
        pytest.param(CANCEL + b"\x82\x01\x05\x02" + DEEP_AND_WIDE, "not msgpack", id="lists that claim to be huge"),
        pytest.param(CANCEL + b"\xdf\xff\xff\xff\xff", "not msgpack", id="a map that claims to be huge"),
        pytest.param(CANCEL + b"\x82\x01\x05\x02\xdb\xff\xff\xff\xff", "not msgpack", id="a text that claims too much"),
        pytest.param(CANCEL + b"\x82\x01\x05\x02\xc7\x03\xff\x00\x00\x00", "not msgpack", id="a bad time stamp"),
        pytest.param(CANCEL + b"\x82\x01\x05\x02\xa3\xed\xa0\x80", "not msgpack", id="half a surrogate pair"),
        pytest.param(wire(9, dict.fromkeys(range(1, limits.MAP_FIELDS_MAX + 2), 0)), "not msgpack", id="many fields"),
        pytest.param(wire(9, {2: [0] * (limits.LIST_ITEMS_MAX + 1)}), "not msgpack", id="a long list"),
        pytest.param(wire(9, [1, 5]), "no map", id="a list of fields"),
        pytest.param(CANCEL, "Cancel without ask_id", id="no map behind the id"),
        pytest.param(wire(4, {}), "Accept without wait_s", id="a required field missing"),
        pytest.param(wire(9, {}, b"x"), "1 bytes too many", id="bytes behind it"),
        pytest.param(wire(4, {2: -1}), "outside 0", id="a negative number"),
        pytest.param(wire(4, {2: True}), "outside 0", id="a truth for a number"),
        pytest.param(wire(4, {2: "5"}), "outside 0", id="a text for a number"),
        pytest.param(wire(4, {2: math.nan}), "outside 0", id="not a number"),
        pytest.param(wire(4, {2: math.inf}), "outside 0", id="infinity"),
        pytest.param(wire(4, {2: 3601}), "outside 0 to 3600", id="a promise beyond the longest deadline"),
        pytest.param(wire(6, {2: 1024}, b"x"), "outside 0 to 1023", id="a piece beyond the last"),
        pytest.param(wire(6, {2: 0}, b"\0\xff"), "not UTF-8", id="an answer that is no text"),
        pytest.param(wire(6, {2: 0}, b"\0" + b"x" * 32_001), "longer than 32000", id="an answer that is too long"),
        pytest.param(wire(6, {2: 0}), "lacks its text", id="an answer without text"),
        pytest.param(wire(6, {2: 0}, b"\x3f\0\0x"), "does not read", id="an answer in a strange code"),
        pytest.param(wire(7, {3: "m" * 25}), "longer than 24", id="a name that is too long"),
        pytest.param(wire(7, {3: "ß" * 13}), "longer than 24", id="a name of too many bytes"),
        pytest.param(wire(7, {3: b"m"}), "text that is none", id="bytes for a text"),
        pytest.param(wire(7, {3: "m", 5: 1}), "neither true nor false", id="a number for a truth"),
        pytest.param(wire(8, {2: 1, 3: "x" * 81}), "longer than 80", id="a reason that is too long"),
        pytest.param(wire(10, {1: 256}), "outside 0 to 255", id="a transfer beyond the last"),
        pytest.param(wire(10, {1: 1, 2: [1]}), "bitmap that is none", id="a list for a bitmap"),
        pytest.param(wire(10, {1: 1, 2: bytes(33)}), "bitmap of 33 bytes", id="a bitmap that is too long"),
        pytest.param(wire(10, {1: 1, 2: bytes(31) + b"\x80"}), "more than 255 parts", id="a part beyond the last"),
        pytest.param(wire(1, {1: "n", 2: {}, 4: 9}), "list that is none", id="a map for a list"),
        pytest.param(wire(1, {1: "n", 2: [["m", 1, 1]] * 4, 4: 9}), "longer than 3", id="four models"),
        pytest.param(wire(1, {1: "n", 2: [["m", 1]], 4: 9}), "without name, speed or context", id="half a model"),
        pytest.param(wire(3, {3: 60, 5: ["x"]}), "list that is none", id="a text for a turn"),
        pytest.param(wire(3, {3: 60, 5: [[0]]}), "without a speaker and a length", id="a turn without length"),
        pytest.param(wire(3, {3: 60, 5: [[3, 1]]}), "outside 0 to 2", id="a fourth speaker"),
        pytest.param(wire(3, {3: 60, 5: [[True, 1]]}), "outside 0 to 2", id="a truth for a speaker"),
        pytest.param(wire(3, {3: 60, 5: [[0, 1]] * 33}), "longer than 32", id="too many turns"),
        pytest.param(wire(3, {5: [[0, 16_001]]}, b"\0x"), "outside 0 to 16000", id="a turn that is too long"),
        pytest.param(wire(3, {5: [[0, 1], [1, 2]]}, b"\0xy"), "not as long", id="turns longer than their text"),
        pytest.param(wire(3, {}, b"\0" + b"x" * 16_001), "longer than 16000", id="a question that is too long"),
        pytest.param(wire(3, {5: []}, b"\0x"), "2 bytes too many", id="text without turns"),
    ],
)
def test_bad_data_is_refused_with_the_reason(data, why):
    with pytest.raises(RemoteError, match=why) as caught:
        decode(data)
    assert not isinstance(caught.value, UnknownMessageError)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Beacon("n" * 25, (), 0, 900, 1, 1), "longer than 24"),
        (Beacon("n", (ModelOffer("m", 1, 1),) * 4, 0, 900, 1, 1), "longer than 3"),
        (Ask(1, "", 3601, 0, ASK.turns), "outside 0 to 3600"),
        (Ask(1, "", 60, 0, (Turn(Role.USER, "x" * 16_001),)), "longer than 16000"),
        (AnswerPiece(1, 1024, ""), "outside 0 to 1023"),
        (AnswerPiece(1, 0, "x" * 32_001), "longer than 32000"),
        (AnswerPiece(1, 0, "\ud800"), "not Unicode"),
        (Refuse(1, RefuseCode.BAD_REQUEST, "\ud800"), "not Unicode"),
    ],
)
def test_what_the_peer_would_refuse_is_not_sent(message, why):
    with pytest.raises(LocalError, match=why):
        encode(message)


@given(st.frozensets(pieces))
def test_a_bitmap_names_the_numbers_it_was_made_of(numbers):
    bitmap = to_bitmap(numbers)
    assert len(bitmap) <= limits.PIECES_MAX // 8
    assert not bitmap.endswith(b"\0")
    assert from_bitmap(bitmap, numbers_max=limits.PIECES_MAX) == numbers


def test_message_numbers_are_those_ever_given():
    assert {kind.__name__: number for kind, number in NUMBERS.items()} == {
        "Beacon": 1,
        "Who": 2,
        "Ask": 3,
        "Accept": 4,
        "Busy": 5,
        "AnswerPiece": 6,
        "AnswerDone": 7,
        "Refuse": 8,
        "Cancel": 9,
        "Gap": 10,
    }
