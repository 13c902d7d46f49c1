"""Questions of poison, injury, fire, drowning or violence: recognised, and answered first with a fixed, honest text.

The text names the numbers and people that the owner wrote down, and promises nothing. It comes before any model's
words, for every way of asking, because all pass through `Emergencies`. Lists of words decide: a false alarm costs a
few lines, a miss may cost more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from nodes.emergency_plan import EmergencyPlan
from nodes.interfaces import Cost
from nodes.languages import KINDS, ORIGINAL, fold, language, languages, likely
from nodes.wishes import Answer, Progress, Restarted, Text, Wish
from protocol.errors import MeshaiError

__all__ = ["Emergencies", "Notice"]

_SCANNED_CHARACTERS = 1000
"""Of the beginning and of the end of a long text: who is frightened writes briefly."""
_SURE_WORDS = 3
"""So many common words of one language rule out what only others call an emergency."""
_BLOT = "|"
"""Stands where a harmless phrase was; no word contains it."""

Ask = Callable[[Wish, Callable[[Progress], None]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told to somebody whose question sounds like an emergency."""

    kinds: tuple[str, ...]
    """Which emergencies, as in `nodes.languages.KINDS`."""
    language: str
    text: str
    doubtful: str
    """Goes before the model's words, which follow."""
    no_answer: str
    """Goes where no model's words follow."""


class Emergencies:
    """Knows what sounds like an emergency, and what to say then."""

    def __init__(self, plan: EmergencyPlan) -> None:
        self.plan = plan

    def notice(self, question: str) -> Notice | None:
        """What to tell the asker before anything else; None when nothing sounds like an emergency."""
        alarms = self._alarms(question)
        if not alarms:
            return None
        code = self.plan.language if self.plan.language in alarms else next(iter(alarms))
        kinds = tuple(kind for kind in KINDS if any(kind in found for found in alarms.values()))
        book = language(code)
        numbers = self.plan.numbers_for(kinds)
        parts = [
            book.say("emergency"),
            book.say("call", numbers=", ".join(numbers)) if numbers else "",
            book.say("people", people="; ".join(self.plan.people)) if self.plan.people else "",
            "" if numbers or self.plan.people else book.say("unset"),
            book.say("machine"),
            "" if book.reviewed else book.say("unreviewed"),
        ]
        text = " ".join(part for part in parts if part)
        return Notice(kinds, code, text, book.say("doubtful"), book.say("no_answer"))

    async def ask(self, ask: Ask, wish: Wish, show: Callable[[Progress], None]) -> Answer:
        """Do `ask`, with the notice, where one is due, as the beginning of the answer's text.

        With a notice there is always an answer: where nobody gives one, its source is `fixed`.
        """
        notice = self.notice(wish.turns[-1].text) if wish.turns else None
        if notice is None:
            return await ask(wish, show)
        beginning, doubt = f"{notice.text}\n\n", f"{notice.doubtful}\n"
        show(Text(beginning))
        is_doubted = False

        def show_after(progress: Progress) -> None:
            nonlocal is_doubted
            if isinstance(progress, Text) and not is_doubted:
                is_doubted = True
                show(Text(doubt))
            show(progress)
            if isinstance(progress, Restarted):
                is_doubted = False
                show(Text(beginning))

        try:
            answer = await ask(wish, show_after)
        except MeshaiError as error:
            ending = f"{notice.no_answer} ({error})"
            show(Text(ending))
            return Answer(beginning + ending, "", "", "fixed", True, 0, 0, False, 0.0, Cost(), beginning)
        return replace(answer, text=beginning + doubt + answer.text, notice=beginning + doubt)

    def _alarms(self, question: str) -> dict[str, set[str]]:
        """The kinds of emergency that the question sounds like, by language, the likeliest language first.

        Languages that it can't be in are left out: `moto` is fire in one and a motorbike in others. English is always
        looked at, because its words are used within the others.
        """
        if len(question) > 2 * _SCANNED_CHARACTERS:
            question = f"{question[:_SCANNED_CHARACTERS]} {question[-_SCANNED_CHARACTERS:]}"
        folded = fold(question)
        possible = likely(question, sure_words=_SURE_WORDS) or tuple(languages())
        codes = dict.fromkeys((*possible, self.plan.language, ORIGINAL))
        alarms: dict[str, set[str]] = {}
        for book in (languages()[code] for code in codes if code in languages()):
            telling = book.harmless.sub(_BLOT, folded)
            if found := {kind for kind in KINDS if book.alarms[kind].search(telling)}:
                alarms[book.code] = found
        return alarms
