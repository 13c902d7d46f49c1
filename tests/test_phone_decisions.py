"""What is read, remembered and queued for phones: pure decisions, and that nothing in them grows without bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.interfaces import BROADCAST, ChannelKey, RadioChannel, RadioInfo, RadioPacket
from nodes.phone_text import PhoneSettings
from nodes.phone_text.letters import LETTERS_MAX, Letter, Tray
from nodes.phone_text.people import PEOPLE_MAX, People, suspicion
from nodes.phone_text.reading import Heard, command_in, heard, language_for
from nodes.phone_text.wording import chunked
from protocol.errors import LocalError

OWN, OTHER = 0x11111111, 0x22222222
INFO = RadioInfo(
    OWN,
    "house",
    "2.8.0",
    "US",
    "LONG_FAST",
    3,
    channels=(
        RadioChannel(0, "", ChannelKey.DEFAULT),
        RadioChannel(1, "street", ChannelKey.OWN),
        RadioChannel(2, "open", ChannelKey.NONE),
    ),
)
DEDICATED = PhoneSettings(personal=False, channels=frozenset({"street", "open", ""}))


def packet(text="Why?", **how):
    fields = {"sender": OTHER, "to": OWN, "hop_start": 3, "hop_limit": 3, "pkc": True, **how}
    return RadioPacket(port=1, payload=text.encode(), packet_id=7, **fields)


def read(packet, settings=DEDICATED, allowed=True):
    return heard(packet, INFO, settings, lambda address: allowed)


def test_a_sealed_direct_message_is_heard_with_its_hops():
    assert read(packet(hop_limit=1, snr_db=4.5)) == Heard("!22222222", "Why?", 0, True, 7, 3, 4.5)


@pytest.mark.parametrize(
    "unheard",
    [
        packet(via_mqtt=True),
        packet(sender=OWN),
        packet(to=0x33333333),
        packet("x" * 300),
        packet("ai Why?", to=BROADCAST, channel=5, pkc=False),
        packet("Why?", to=BROADCAST, channel=1, pkc=False),
    ],
)
def test_what_is_not_for_us_is_left_without_a_word(unheard):
    assert read(unheard) == ""


@pytest.mark.parametrize("channel", [0, 2])
@pytest.mark.parametrize("to", [OWN, BROADCAST])
def test_a_channel_that_anybody_reads_is_never_answered_whatever_is_switched_on(channel, to):
    assert "anyone can read" in read(packet("ai Why?", to=to, channel=channel, pkc=False))


def test_on_a_channel_with_its_own_key_the_prefix_is_answered_there():
    assert read(packet("AI Why?", to=BROADCAST, channel=1, pkc=False)) == Heard(
        "!22222222", "Why?", 1, False, 7, 1, None
    )


@pytest.mark.parametrize(
    ("text", "question"),
    [("ai Why?", "Why?"), ("Ai, why", "why"), ("ai:why", "why"), ("AI\nwhy", "why"), ("ai", ""), ("ai!", "")],
)
def test_the_prefix_is_taken_off(text, question):
    assert read(packet(text), PhoneSettings()).text == question


@pytest.mark.parametrize("text", ["air", "aids?", "what ai", "a i why", "AIwhy"])
def test_what_only_looks_like_the_prefix_is_a_persons_own_message(text):
    assert read(packet(text), PhoneSettings()) == ""


def test_another_prefix_can_be_set():
    assert read(packet("bot, why"), PhoneSettings(prefix="bot")).text == "why"


@pytest.mark.parametrize(
    ("text", "preferred", "command"),
    [
        ("more", (), ("more", "en")),
        (" MORE! ", (), ("more", "en")),
        ("/more", (), ("more", "en")),
        ("Más", (), ("more", "es")),
        ("mas", (), ("more", "es")),
        ("okunye", ("zu",), ("more", "zu")),
        ("okunye", ("xh",), ("more", "xh")),
        ("ping", ("sw",), ("ping", "sw")),
        ("मदद", (), ("help", "hi")),
        ("المزيد", (), ("more", "ar")),
        ("more beans", (), None),
        ("", (), None),
    ],
)
def test_command_words_of_every_language(text, preferred, command):
    assert command_in(text, preferred=preferred) == command


def test_the_nodes_language_goes_before_the_texts_and_that_before_the_last_one():
    assert language_for("¿Qué es el cielo?", configured="sw", last="fr") == "sw"
    assert language_for("¿Qué es el cielo?", configured="", last="fr") == "es"
    assert language_for("ok", configured="", last="fr") == "fr"
    assert language_for("ok", configured="", last="") == "en"


@pytest.mark.parametrize("settings", [{"language": "tlh"}, {"owner": "x" * 41}, {"owner": "a\nb"}])
def test_settings_that_can_not_work_are_refused(settings):
    with pytest.raises(LocalError):
        PhoneSettings(**settings)


def test_the_longest_silent_person_is_forgotten_first():
    people = People(3)
    for number in range(3):
        people.of(f"!{number}").greeted = True
    people.of("!0")
    people.of("!3")
    assert len(people) == 3
    assert people.of("!0").greeted
    assert not people.of("!1").greeted


@given(st.lists(st.tuples(st.integers(0, 500), st.text(max_size=400), st.floats(0, 100)), max_size=300))
def test_what_is_remembered_of_people_stays_bounded(events):
    people, now = People(), 0.0
    for number, text, seconds in events:
        now += seconds
        person = people.of(f"!{number}")
        suspicion(person, text, now, is_question=True)
        person.is_repeated(number)
        conversation = person.conversation(number % 20)
        conversation.note(text * 10, text * 10, now)
        conversation.keep(text * 100)
        person.heard_from_us(text, now)
        assert len(person.conversations) <= 9
        assert sum(len(turn.text.encode()) for turn in conversation.turns) <= 3 * 600
        assert len(conversation.rest.encode()) <= 4000
        assert max(len(person.packet_ids), len(person.arrivals), len(person.said)) <= 16
    assert len(people) <= PEOPLE_MAX


def letter(person, text="text", at=0.0, **how):
    return Letter(person, 0, True, text, written_at=at, **how)


def test_letters_leave_in_order_the_urgent_ones_first():
    tray = Tray()
    a, b, c, d = letter("a"), letter("b"), letter("c", urgent=True), letter("d", urgent=True)
    assert all(tray.put(each) for each in (a, b, c, d))
    left = []
    while (first := tray.first(0)) is not None:
        left.append(first)
        tray.sent(first, delivered=True)
    assert left == [c, d, a, b]


def test_the_tray_is_bounded_in_all_and_for_each_person():
    tray = Tray()
    assert [tray.put(letter("a")) for _ in range(6)] == [True] * 4 + [False] * 2
    assert tray.put(letter("a", urgent=True))
    assert sum(tray.put(letter(f"b{number}")) for number in range(50)) == LETTERS_MAX - 5


def test_a_chunk_is_tried_three_times_and_the_letter_then_given_up_with_what_is_missing():
    lost = []
    tray = Tray()
    story = letter("a", " ".join(["word"] * 120), undelivered=lost.append)
    tray.put(story)
    tray.sent(story, delivered=True)
    for _ in range(3):
        assert tray.first(1) is story
        tray.sent(story, delivered=False)
    assert tray.first(1) is None
    missing = len(chunked(story.text)) - 1
    assert lost[0] == " ".join(["word"] * len(lost[0].split()))
    assert len(lost[0].split()) < 120
    assert missing == 3


def test_a_letter_that_could_not_leave_for_ten_minutes_is_given_up():
    lost = []
    tray = Tray()
    tray.put(letter("a", "late", undelivered=lost.append))
    assert tray.first(599) is not None
    assert tray.first(600) is None
    assert lost == ["late"]
