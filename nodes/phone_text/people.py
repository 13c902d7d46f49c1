"""What is remembered of each person who texts: the last turns, what waits for `more`, limits, and signs of a machine.

Bounded whatever comes: so many people, the longest silent leaving first, and so much of each. Pure: `now` and the day
come in. Nothing of it is kept when the node stops.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import cache
from re import Pattern

from nodes.languages import fold, languages
from nodes.languages.words import template_matcher
from protocol.messages import Role, Turn

__all__ = ["PEOPLE_MAX", "Conversation", "People", "Person", "suspicion"]

PEOPLE_MAX = 100
_EXCHANGES_MAX = 3
_QUESTION_BYTES_MAX = 250
_ANSWER_BYTES_MAX = 350
"""Three exchanges and a question still go to a neighbour by radio (`nodes.lookout.AIR_QUESTION_BYTES_MAX`)."""
_REST_BYTES_MAX = 4000
_CONVERSATION_S = 3600.0
"""After so long a silence a question begins a new conversation."""
_CHANNELS_MAX = 9
"""Direct messages and a radio's eight channels."""

_SAME_S = 30.0
"""The same question again within this time is the app's or an impatient thumb's repetition."""
_FLOOD_S, _FLOOD_TEXTS, _FLOOD_PAUSE_S = 60.0, 8, 300.0
"""More texts than this in this time are a machine's, which is then left alone for a while."""
_REFLEX_S, _REFLEXES = 3.0, 3
"""So many answers to our texts in a row, each within this time, are no person's."""
_PACKETS_MAX = 16
_SAID_MAX = 8
_ECHO_CHARACTERS = 12
_TEMPLATE_CHARACTERS = 16
"""Shorter phrases of ours could be anybody's."""


@dataclass(slots=True)
class Conversation:
    """What one person said and heard, in direct messages or on one channel."""

    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=2 * _EXCHANGES_MAX))
    rest: str = ""
    """Of the last answer, what waits for `more`."""
    unfinished: bool = False
    """Whether the model had more to say than the last answer holds."""
    at: float = 0.0
    """When it was last used."""

    def earlier(self, now: float) -> tuple[Turn, ...]:
        """The turns that a question now follows."""
        if now - self.at > _CONVERSATION_S:
            self.turns.clear()
        self.at = now
        return tuple(self.turns)

    def note(self, question: str, answer: str, now: float) -> None:
        """Remember one exchange, cut to what is kept."""
        self.turns.append(Turn(Role.USER, _cut(question, _QUESTION_BYTES_MAX)))
        self.turns.append(Turn(Role.ASSISTANT, _cut(answer, _ANSWER_BYTES_MAX)))
        self.at = now

    def keep(self, rest: str) -> None:
        """Keep what waits for `more`."""
        self.rest = _cut(rest, _REST_BYTES_MAX)


@dataclass(slots=True)
class Person:
    """One radio's person."""

    address: str
    greeted: bool = False
    """Whether they were told whose device reads along."""
    language: str = ""
    """What they were last answered in."""
    waiting: bool = False
    """Whether a question of theirs is being answered or waits for it."""
    asked_at: float = float("-inf")
    told_at: dict[str, float] = field(default_factory=dict)
    """Reason -> when they were last told it, instead of an answer."""
    noticed_at: float = float("-inf")
    """When they were last given an emergency's fixed text."""
    day: int = 0
    questions_today: int = 0
    conversations: OrderedDict[int | None, Conversation] = field(default_factory=OrderedDict)
    """By channel index; None for direct messages."""
    packet_ids: deque[int] = field(default_factory=lambda: deque(maxlen=_PACKETS_MAX))
    last_text: str = ""
    last_text_at: float = float("-inf")
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_FLOOD_TEXTS))
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_SAID_MAX))
    """Our last chunks to them, folded."""
    said_at: float = float("-inf")
    reflexes: int = 0
    ignored_until: float = float("-inf")

    def conversation(self, channel: int | None) -> Conversation:
        """Theirs on a channel, or in direct messages."""
        found = self.conversations.setdefault(channel, Conversation())
        self.conversations.move_to_end(channel)
        while len(self.conversations) > _CHANNELS_MAX:
            self.conversations.popitem(last=False)
        return found

    def count_question(self, now: float, day: int) -> None:
        """Count a question that will be answered."""
        self.questions_today = self.asked_today(day) + 1
        self.day, self.asked_at, self.waiting = day, now, True

    def is_repeated(self, packet_id: int) -> bool:
        """Whether a packet of theirs came before; notes it."""
        if packet_id in self.packet_ids:
            return True
        self.packet_ids.append(packet_id)
        return False

    def asked_today(self, day: int) -> int:
        """Questions of theirs that were answered on this day (days since 1970)."""
        return self.questions_today if day == self.day else 0

    def heard_from_us(self, chunk: str, now: float) -> None:
        """Note what was sent to them."""
        self.said.append(fold(chunk))
        self.said_at = now


class People:
    """Those who text, the longest silent first."""

    def __init__(self, people_max: int = PEOPLE_MAX) -> None:
        self._people_max = people_max
        self._people: OrderedDict[str, Person] = OrderedDict()

    def __len__(self) -> int:
        return len(self._people)

    def of(self, address: str) -> Person:
        """The person with this address, known or new."""
        person = self._people.setdefault(address, Person(address))
        self._people.move_to_end(address)
        while len(self._people) > self._people_max:
            self._people.popitem(last=False)
        return person


def suspicion(person: Person, text: str, now: float, *, is_question: bool) -> str:
    """Why a text is not answered although its sender may ask: a machine's, or the same again; empty for a good one.

    Notes the text as heard.
    """
    folded = fold(text)
    if is_question:
        person.reflexes = person.reflexes + 1 if now - person.said_at <= _REFLEX_S else 0
    floods = len(person.arrivals) == _FLOOD_TEXTS and now - person.arrivals[0] < _FLOOD_S
    is_same = is_question and folded == person.last_text and (person.waiting or now - person.last_text_at < _SAME_S)
    person.arrivals.append(now)
    if is_question and not is_same:
        person.last_text, person.last_text_at = folded, now
    if now < person.ignored_until:
        return "it was ignored a moment ago"
    if not folded:
        return "it has no word in it"
    if any(len(said) >= _ECHO_CHARACTERS and said in folded for said in person.said):
        return "it repeats what this node said"
    if any(template.fullmatch(folded) for template in _our_templates()):
        return "it is one of this node's own phrases"
    if floods or person.reflexes >= _REFLEXES:
        person.ignored_until = now + _FLOOD_PAUSE_S
        return "texts come as fast as only a machine's"
    return "it came a moment ago" if is_same else ""


@cache
def _our_templates() -> tuple[Pattern[str], ...]:
    """What our own phrases look like, in every language, whatever was filled in."""
    phrases = {phrase for book in languages().values() for phrase in book.phrases.values()}
    return tuple(template_matcher(phrase) for phrase in sorted(phrases) if len(fold(phrase)) >= _TEMPLATE_CHARACTERS)


def _cut(text: str, bytes_max: int) -> str:
    return text.encode(errors="replace")[:bytes_max].decode(errors="ignore")
