"""Who asks what, and when; and what a scripted model answers: drawn from a plan and a seed before a run begins.

Knows texts, hours and chances, and nothing of the world: houses are numbers here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import count
from math import cos, pi
from pathlib import Path
from random import Random

from protocol.errors import LocalError
from simulator.scenario.plan import Emergency, PeoplePlan

__all__ = ["LANGUAGES", "PlannedQuestion", "PlannedText", "answer_for", "level", "plan_day"]

LANGUAGES = ("ar", "en", "es", "fr", "ha", "hi", "id", "pt", "sw", "xh", "yo", "zu")
"""Those that there are texts in; see `simulator/texts/README.md`."""

_TEXTS = Path(__file__).parent / "texts"
_NIGHT = 0.1
"""What is asked at night, noon being 1."""
_MORNING = (5.0, 8.0)
"""Hours in which night becomes day."""
_BEDTIME = (22.0, 24.0)
_EVENING = (17.5, 18.5, 21.0, 22.0)
"""Hours at which the evening's peak begins to rise, is reached, begins to fall, and is over."""
_SAME_THING = 0.8
"""In an emergency, so many ask the same few things; the others ask something of their own."""
_PLANNED_MAX = 1_000_000
"""Questions or texts of one run."""
_ANSWER_CHARS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """A question that will be asked."""

    time_s: float
    """Seconds since the run began."""
    house: int
    """As the caller numbers them."""
    language: str
    text: str
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class PlannedText:
    """A plain text message that somebody will send to everybody."""

    time_s: float
    house: int
    language: str
    text: str


def plan_day(
    people: PeoplePlan, houses: Sequence[int], *, start_hour: float, hours: float, rng: Random
) -> tuple[list[PlannedQuestion], list[PlannedText]]:
    """What the people of `houses` ask and write within `hours` from `start_hour` on, each sorted by time.

    `houses` are those that ask at all (`asking_share` is its caller's). In a whole day `questions_per_day` questions
    come on average, spread as `level` says; emergencies come on top. Raises LocalError for a language without texts and
    for numbers that can't be planned.
    """
    _check(people, hours)
    if not houses:
        return [], []
    stocks = {language: _Stock(language, rng) for language in people.languages}
    languages = list(people.languages)
    weights = [people.languages[language] for language in languages]

    def language() -> str:
        return rng.choices(languages, weights)[0]

    when = _Times(people.evening_peak, start_hour, hours, rng)
    questions = []
    for time_s in when.drawn(people.questions_per_day):
        spoken = language()
        questions.append(PlannedQuestion(time_s, rng.choice(houses), spoken, stocks[spoken].question(people.alike)))
    for emergency in people.emergencies:
        for house, time_s in _alarmed(emergency, houses, rng):
            spoken = language()
            if time_s < 3600 * hours:
                questions.append(PlannedQuestion(time_s, house, spoken, stocks[spoken].alarmed(), emergency=True))
    texts = []
    for time_s in when.drawn(people.texts_per_day):
        spoken = language()
        texts.append(PlannedText(time_s, rng.choice(houses), spoken, stocks[spoken].message()))
    return sorted(questions, key=lambda question: (question.time_s, question.house)), texts


def level(hour: float, evening_peak: float) -> float:
    """How much is asked at that hour of the day: 1 at noon, a tenth at night, `evening_peak` in the evening."""
    hour %= 24
    awake = _rise(hour, *_MORNING) * (1 - _rise(hour, *_BEDTIME))
    evening = _rise(hour, *_EVENING[:2]) * (1 - _rise(hour, *_EVENING[2:]))
    return _NIGHT + (1 - _NIGHT) * awake + (evening_peak - 1) * evening


def answer_for(question: str, chars: int) -> str:
    """The answer of a scripted model: real text in the question's language, at most `chars` characters.

    The same question always gets the same answer, in every process; it is as long as whole words allow. Raises
    LocalError for `chars` below 1 or above 20,000.
    """
    if not 1 <= chars <= _ANSWER_CHARS_MAX:
        raise LocalError(f"answers of {chars} characters are impossible", "", f"use 1 to {_ANSWER_CHARS_MAX}")
    answers = _texts(_language_of(question))["answer"]
    first = int.from_bytes(sha256(question.encode(errors="replace")).digest()[:4], "big") % len(answers)
    text = ""
    for number in count(first):
        text = f"{text} {answers[number % len(answers)]}".strip()
        if len(text) > chars:
            break
    cut = text[: chars + 1].rstrip()
    if len(cut) > chars:
        cut = cut.rsplit(maxsplit=1)[0] if len(cut.split(maxsplit=1)) > 1 else cut[:chars]
    return cut


class _Times:
    """Draws moments of a run: a Poisson process whose rate follows the day."""

    def __init__(self, evening_peak: float, start_hour: float, hours: float, rng: Random) -> None:
        self._peak = evening_peak
        self._start_hour = start_hour
        self._length_s = 3600 * hours
        self._rng = rng
        day_h = sum(_BEDTIME) / 2 - sum(_MORNING) / 2
        evening_h = sum(_EVENING[2:]) / 2 - sum(_EVENING[:2]) / 2
        # The integral of `level` over a day: each rise counts as half its length.
        self._day_h = 24 * _NIGHT + (1 - _NIGHT) * day_h + (evening_peak - 1) * evening_h
        self._most = max(1.0, evening_peak)

    def drawn(self, per_day: float) -> Iterator[float]:
        """Seconds since the start, in order; `per_day` of them in a whole day on average."""
        rate_s = per_day * self._most / (3600 * self._day_h)
        time_s = 0.0
        while rate_s:
            time_s += self._rng.expovariate(rate_s)
            if time_s >= self._length_s:
                return
            if self._rng.random() * self._most < level(self._start_hour + time_s / 3600, self._peak):
                yield time_s


class _Stock:
    """The texts of one language, and what was asked in it so far."""

    def __init__(self, language: str, rng: Random) -> None:
        self._texts = _texts(language)
        self._rng = rng
        self._asked: list[str] = []
        """Every question so far, repeated ones as often as they were asked."""
        self._known: set[str] = set()
        self._unasked = rng.sample(self._texts["prompt"], len(self._texts["prompt"]))

    def question(self, alike: float) -> str:
        """What somebody asks: with probability `alike` what was asked before, the more often the likelier.

        Drawn so, few questions are asked very often and many once (Simon 1955), as searches and news are.
        """
        is_repeated = self._rng.random() < alike and bool(self._asked)
        text = self._rng.choice(self._asked) if is_repeated else self._fresh()
        self._asked.append(text)
        return text

    def alarmed(self) -> str:
        """What somebody asks in an emergency: mostly one of the same few things, the first most often."""
        if self._rng.random() >= _SAME_THING:
            return self._fresh()
        same = self._texts["emergency"]
        return self._rng.choices(same, [1 / rank for rank in range(1, len(same) + 1)])[0]

    def message(self) -> str:
        """A plain message to everybody."""
        return self._rng.choice(self._texts["chat"])

    def _fresh(self) -> str:
        """A question that nobody asked yet: as it stands, then with another sentence before it or a number after it."""
        text = self._unasked.pop() if self._unasked else ""
        while not text or text in self._known:
            prompt = self._rng.choice(self._texts["prompt"])
            other = self._rng.choice(self._texts["chat"])
            number = self._rng.randint(2, 20 + 10 * len(self._known))
            text = self._rng.choice((f"{other} {prompt}", f"{prompt} {number}"))
        self._known.add(text)
        return text


def _alarmed(emergency: Emergency, houses: Sequence[int], rng: Random) -> list[tuple[int, float]]:
    """Which houses ask in an emergency, and when."""
    struck = rng.sample(houses, round(emergency.share * len(houses)))
    begin_s, length_s = 3600 * emergency.at_hour, 60 * emergency.minutes
    return [(house, begin_s + length_s * rng.random()) for house in struck]


def _rise(hour: float, begin: float, end: float) -> float:
    """0 before `begin`, 1 after `end`, a smooth way between."""
    if hour <= begin:
        return 0.0
    return 1.0 if hour >= end else (1 - cos(pi * (hour - begin) / (end - begin))) / 2


@cache
def _texts(language: str) -> Mapping[str, list[str]]:
    """The texts of one language by kind."""
    texts: dict[str, list[str]] = {"prompt": [], "answer": [], "chat": [], "emergency": []}
    for line in (_TEXTS / f"{language}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts[row["kind"]].append(row["text"])
    return texts


@cache
def _known_questions() -> tuple[tuple[str, str], ...]:
    """Every text that a question is made from, and its language; the longest first."""
    found = [
        (text, language)
        for language in LANGUAGES
        for kind in ("prompt", "emergency")
        for text in _texts(language)[kind]
    ]
    return tuple(sorted(found, key=lambda one: (-len(one[0]), one)))


def _language_of(question: str) -> str:
    return next((language for text, language in _known_questions() if text in question), "en")


def _check(people: PeoplePlan, hours: float) -> None:
    """Raise LocalError for what can't be planned."""
    for language, share in people.languages.items():
        if language not in LANGUAGES:
            raise LocalError(
                f"there are no texts in the language {language!r}", "", f"use some of {', '.join(LANGUAGES)}"
            )
        if share < 0:
            raise LocalError(f"a share of {share:g} for the language {language!r} is impossible", "", "use 0 to 1")
    if not sum(people.languages.values()) > 0:
        raise LocalError("people speak no language", "", "give one, such as `languages = { en = 1 }`")
    if people.evening_peak < 0:
        raise LocalError(f"an evening peak of {people.evening_peak:g} is impossible", "", "use 1 for a level day")
    for what, per_day in (("questions", people.questions_per_day), ("texts", people.texts_per_day)):
        if not 0 <= per_day * max(1.0, hours / 24) <= _PLANNED_MAX:
            raise LocalError(f"{per_day:g} {what} a day are impossible", "", f"use 0 to {_PLANNED_MAX}")
    for emergency in people.emergencies:
        if not 0 <= emergency.share <= 1 or emergency.minutes < 0 or emergency.at_hour < 0:
            raise LocalError(
                "an emergency has an impossible share or time", "", "use a share of 0 to 1 and times above 0"
            )
