"""Answers plain texts from ordinary Meshtastic phones on one radio: hears, decides, asks the node, posts the answer.

Decisions are made by the pure modules beside this one; here they are carried out, one question at a time. Knows no
model, no neighbour and no meshtastic library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import trio

from nodes.bearers.radio import TEXT_PORT, RadioBearer, address_of
from nodes.clock import WallClock, system_wall_clock
from nodes.emergency import Ask, Emergencies, Notice
from nodes.interfaces import RadioInfo, RadioPacket
from nodes.languages import Language, language
from nodes.phone_text.letters import Letter
from nodes.phone_text.people import People, Person, suspicion
from nodes.phone_text.reading import NOT_ALLOWED, Heard, command_in, heard, language_for, unusable_channels
from nodes.phone_text.sender import Sender
from nodes.phone_text.settings import PhoneSettings
from nodes.phone_text.wording import CHUNK_BYTES_MAX, paged, said
from nodes.pump import Pump
from nodes.trace import Trace
from nodes.wishes import Wish
from protocol.airtime import transmissions
from protocol.errors import MeshaiError
from protocol.messages import Role, Turn
from protocol.sizing import AnswerSize, answer_size

__all__ = ["PhoneDesk"]

_QUEUE_MAX = 8
_PAGE_CHUNKS_MAX = 3
_ANSWER_TOKENS, _THINKING_TOKENS = 240, 1000
"""The first is some five chunks, of which the air may bear fewer; the second is for a model that only thought."""
_DEADLINE_S = 300
_USUAL_ANSWER_S = 20.0
_TOLD_WAIT_S = 15.0
"""A wait longer than this is told."""
_BUSY_AIR_S = 300.0
"""When the air would not carry an answer within this time, none is begun."""
_NOTICE_EVERY_S = 60.0
_TELL_STRANGERS_EVERY_S = 60.0
_DAY_S = 86_400
_GO_ON = "Go on."


@dataclass(eq=False, slots=True)
class _Question:
    heard: Heard
    person: Person
    text: str
    language: Language
    notice: Notice | None


@dataclass(frozen=True, slots=True)
class _Refusal:
    why: str
    """In English, for the owner."""
    tell_again_s: float
    """Not before this the person is told again."""
    words: str


class PhoneDesk:
    """Answers the phones in reach of one radio."""

    def __init__(
        self,
        settings: PhoneSettings,
        *,
        owner: str,
        pump: Pump,
        bearer: RadioBearer,
        ask: Ask,
        models: Callable[[], tuple[str, ...]],
        allows: Callable[[str], bool],
        emergencies: Emergencies,
        trace: Trace,
        wall: WallClock = system_wall_clock,
    ) -> None:
        """`owner` is told where the settings name none; `ask` answers like `nodes.inquiry.Inquiry.ask`."""
        self._settings = settings
        self._owner = settings.owner or owner
        self._pump = pump
        self._bearer = bearer
        self._ask = ask
        self._models = models
        self._allows = allows
        self._emergencies = emergencies
        self._trace = trace
        self._wall = wall
        self._language = settings.language or emergencies.plan.language
        self._info: RadioInfo | None = None
        """What the radio last said of itself."""
        self._stranger_told_at = float("-inf")
        self._people = People()
        self._questions: deque[_Question] = deque()
        self._answering: _Question | None = None
        self._answer_s = _USUAL_ANSWER_S
        """Seconds that an answer usually takes."""
        self._asked = trio.Event()
        self._sender = Sender(pump, bearer, trace, self._note_sent)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer phones until cancelled; `started()` once their texts are heard."""
        async with trio.open_nursery() as nursery:
            self._bearer.listen(TEXT_PORT, self._take)
            task_status.started()
            nursery.start_soon(self._answer_questions)
            nursery.start_soon(self._sender.run)

    def radio_changed(self) -> None:
        """Look at what the radio says of itself, and tell of channels that can't be answered on."""
        info = self._bearer.info
        if info is not None and info is not self._info:
            self._info = info
            for name, why in unusable_channels(info, self._settings).items():
                self._trace.note("phone.channel_off", channel=name, why=why)

    # Hearing

    def _take(self, packet: RadioPacket) -> None:
        """Take a text that the radio heard."""
        if self._bearer.info is None or self._pump.silent:
            return
        text = heard(packet, self._bearer.info, self._settings, self._allows)
        if isinstance(text, Heard):
            self._take_text(text)
        elif text == NOT_ALLOWED and trio.current_time() - self._stranger_told_at >= _TELL_STRANGERS_EVERY_S:
            self._stranger_told_at = trio.current_time()
            self._trace.note("phone.stranger", peer=address_of(packet.sender))
        elif text:
            self._trace.note("phone.ignored", peer=address_of(packet.sender), why=text)

    def _take_text(self, heard: Heard) -> None:
        now = trio.current_time()
        person = self._people.of(heard.person)
        if person.is_repeated(heard.packet_id):
            return
        found = command_in(heard.text, preferred=(person.language, self._language)) if heard.text else ("help", "")
        why = suspicion(person, heard.text or "help", now, is_question=found is None)
        if why:
            self._trace.note("phone.ignored", peer=heard.person, why=why)
            return
        command, word_language = found or ("", "")
        person.language = word_language or language_for(heard.text, configured=self._language, last=person.language)
        book = language(person.language)
        self._trace.note("phone.heard", peer=heard.person, what=command or "question", hops=heard.hops)
        match command:
            case "":
                self._take_question(heard, person, heard.text, book)
            case "more":
                self._more(heard, person, book)
            case "forget":
                person.conversations.clear()
                self._post(heard, person, book.say("forgotten"), book)
            case _:
                self._post(heard, person, self._say(command, heard, book), book)

    def _say(self, command: str, heard: Heard, book: Language) -> str:
        """What answers a command that needs nothing but a look."""
        now = trio.current_time()
        match command:
            case "ping":
                return book.say("pong", snr="?" if heard.snr_db is None else f"{heard.snr_db:g}", hops=heard.hops)
            case "status":
                left_s = max(0, round(self._pump.budget.left_s(now)))
                return book.say("status", waiting=self._ahead, air=left_s)
            case "models":
                names = self._models()
                return book.say("models", names=", ".join(names)) if names else book.say("no_models")
        text = book.say("help", ai=self._prefix(heard))
        return text if book.reviewed else f"{text} {book.say('unreviewed')}"

    def _prefix(self, heard: Heard) -> str:
        """What this person's texts have to begin with."""
        needs_prefix = self._settings.personal or not heard.is_direct
        return f"{self._settings.prefix} " if needs_prefix else ""

    def _more(self, heard: Heard, person: Person, book: Language) -> None:
        conversation = person.conversation(heard.place)
        if conversation.rest:
            rest = conversation.rest
            conversation.rest = ""
            self._post_answer(heard, person, rest, book)
        elif conversation.unfinished:
            self._take_question(heard, person, _GO_ON, book)
        else:
            self._post(heard, person, book.say("nothing_more"), book)

    # Deciding

    @property
    def _ahead(self) -> int:
        """How many questions are being answered or wait."""
        return len(self._questions) + (self._answering is not None)

    def _take_question(self, heard: Heard, person: Person, text: str, book: Language) -> None:
        now, day = trio.current_time(), int(self._wall() // _DAY_S)
        notice = self._emergencies.notice(text)
        if notice is not None and now - person.noticed_at >= _NOTICE_EVERY_S:
            person.noticed_at = now
            self._trace.note("phone.emergency", peer=heard.person)
            self._post(heard, person, notice.text, language(notice.language), urgent=True)
        refusal = self._refusal(person, book, now, day)
        if refusal is not None:
            self._trace.note("phone.refused", peer=heard.person, why=refusal.why)
            if now - person.told_at.get(refusal.why, float("-inf")) >= refusal.tell_again_s:
                person.told_at[refusal.why] = now
                self._post(heard, person, refusal.words, book)
            return
        ahead = self._ahead
        question = _Question(heard, person, text, book, notice)
        person.count_question(now, day)
        if notice is None:
            self._questions.append(question)
        else:
            self._questions.appendleft(question)
            ahead = int(self._answering is not None)
        self._asked.set()
        wait_s = (ahead + 1) * self._answer_s
        if ahead and wait_s > _TOLD_WAIT_S:
            self._post(heard, person, book.say("place", ahead=ahead, wait=round(wait_s)), book)

    def _refusal(self, person: Person, book: Language, now: float, day: int) -> _Refusal | None:
        """Why a question is not taken now; None when it is."""
        settings = self._settings
        if person.waiting:
            wait_s = (self._ahead + 1) * self._answer_s
            return _Refusal("one question at a time", wait_s, book.say("wait", wait=round(wait_s)))
        if person.asked_today(day) >= settings.questions_per_day:
            capped = book.say("capped", cap=settings.questions_per_day)
            return _Refusal("the day's questions are used up", _DAY_S / 4, capped)
        if now - person.asked_at < settings.cooldown_s:
            left_s = settings.cooldown_s - (now - person.asked_at)
            return _Refusal("too soon after the last one", settings.cooldown_s, book.say("wait", wait=ceil(left_s)))
        air_wait_s = self._pump.air_wait_s(CHUNK_BYTES_MAX * (self._sender.waiting + 1))
        if len(self._questions) >= _QUEUE_MAX or air_wait_s > _BUSY_AIR_S:
            wait_s = max(len(self._questions) * self._answer_s, min(air_wait_s, _DAY_S / 24))
            return _Refusal("too many questions or too little air", wait_s, book.say("busy", wait=round(wait_s)))
        return None

    # Answering

    async def _answer_questions(self) -> None:
        while True:
            while not self._questions:
                self._asked = trio.Event()
                await self._asked.wait()
            question = self._answering = self._questions.popleft()
            started = trio.current_time()
            try:
                await self._answer(question)
            finally:
                question.person.waiting = False
                self._answering = None
            self._answer_s += (trio.current_time() - started - self._answer_s) / 4

    async def _answer(self, question: _Question) -> None:
        heard, person, book = question.heard, question.person, question.language
        conversation = person.conversation(heard.place)
        size = self._size(heard.hops)
        instruction = f"{size.instruction} Plain text, no lists. Use the language of the question."
        earlier = conversation.earlier(trio.current_time())
        turns = (Turn(Role.SYSTEM, instruction), *earlier, Turn(Role.USER, question.text))
        text, unfinished = "", False
        try:
            for tokens in (_ANSWER_TOKENS, _THINKING_TOKENS):
                answer = await self._ask(Wish(turns, max_tokens=tokens, deadline_s=_DEADLINE_S), lambda progress: None)
                text, unfinished = said(answer.text), answer.truncated
                if text or not unfinished:
                    break
        except MeshaiError as error:
            self._trace.note("phone.failed", peer=heard.person, why=error.what)
        if not text:
            sorry = question.notice.no_answer if question.notice is not None else book.say("failed")
            self._post(heard, person, sorry, book)
            return
        conversation.note(question.text, text, trio.current_time())
        conversation.unfinished = unfinished
        self._trace.note("phone.answered", peer=heard.person, bytes=len(text.encode()))
        self._post_answer(heard, person, f"{question.notice.doubtful} {text}" if question.notice else text, book)

    def _size(self, hops: int) -> AnswerSize:
        """How long an answer the air bears now."""
        now = trio.current_time()
        return answer_size(
            left_s=self._pump.budget.left_s(now, transmissions=transmissions(hops)),
            frame_airtime_s=self._bearer.cost(CHUNK_BYTES_MAX).airtime_s,
            hops=hops,
            utilisation_percent=0.0,  # chunks leave one by one, each when the channel has room for it
            waiting=len(self._questions),
        )

    # Sending

    def _post_answer(self, heard: Heard, person: Person, text: str, book: Language) -> None:
        """Send as much of an answer as the air bears; the rest waits for `more`."""
        conversation = person.conversation(heard.place)
        hint = book.say("more", ai=self._prefix(heard))
        greeting_bytes = 0 if person.greeted else len(self._greeting(book).encode()) + 1
        chunks = min(ceil(self._size(heard.hops).text_bytes / CHUNK_BYTES_MAX), _PAGE_CHUNKS_MAX)
        chunks = max(chunks, ceil(greeting_bytes / CHUNK_BYTES_MAX + 0.5))  # a long greeting leaves room for an answer
        page, rest = paged(text, chunks, hint, spare_bytes=greeting_bytes)
        conversation.keep(rest)

        def keep(lost: str) -> None:
            conversation.keep(f"{lost.removesuffix(hint)} {conversation.rest}".strip())

        self._post(heard, person, page, book, undelivered=keep)

    def _greeting(self, book: Language) -> str:
        """What is said with the first thing that a person hears from us."""
        return book.say("intro", owner=self._owner)

    def _post(
        self,
        heard: Heard,
        person: Person,
        text: str,
        book: Language,
        *,
        urgent: bool = False,
        undelivered: Callable[[str], None] = lambda lost: None,
    ) -> None:
        greeting = "" if person.greeted else self._greeting(book)
        person.greeted = True

        def give_up(lost: str) -> None:
            if greeting and greeting in lost:
                person.greeted = False
                lost = lost.replace(greeting, "").strip()
            undelivered(lost)

        letter = Letter(
            heard.person,
            heard.channel,
            heard.is_direct,
            (f"{text} {greeting}" if urgent else f"{greeting} {text}").strip(),
            hops=heard.hops,
            reply_id=0 if heard.is_direct else heard.packet_id,
            urgent=urgent,
            undelivered=give_up,
            written_at=trio.current_time(),
        )
        if not self._sender.post(letter):
            self._trace.note("phone.dropped", peer=heard.person, why="too many texts wait to be sent")
            give_up(letter.text)

    def _note_sent(self, letter: Letter, chunk: str) -> None:
        self._people.of(letter.person).heard_from_us(chunk, trio.current_time())
