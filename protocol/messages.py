"""The messages that nodes exchange, and the append-only registry of their numbers.

Plain frozen data: what a message means, not how it is packed (`protocol.codec`) or when it is sent
(`protocol.session`). Durations travel, wall-clock times never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol import limits
from protocol.errors import RefuseCode

__all__ = [
    "NUMBERS",
    "Accept",
    "AnswerDone",
    "AnswerPiece",
    "Ask",
    "Beacon",
    "Busy",
    "Cancel",
    "Gap",
    "Message",
    "ModelOffer",
    "Refuse",
    "Role",
    "Turn",
    "Who",
]


class Role(IntEnum):
    """Who spoke a turn of a conversation."""

    USER = 0
    ASSISTANT = 1
    SYSTEM = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model that a node answers with."""

    name: str
    """Short name, such as `smollm2-135m`."""
    tokens_per_s: int
    """Measured decode speed, tokens a second, at least 1."""
    context_tokens: int
    """Longest prompt and answer together, in tokens, 0 when unknown."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """I am here, this is what I run and how busy I am. Broadcast, never relied on for anything but choosing."""

    name: str
    models: tuple[ModelOffer, ...]
    backlog_s: int
    """Seconds until a new question would start."""
    valid_s: int
    """Seconds after arrival during which this beacon may be believed."""
    version_min: int
    version_max: int
    packs: int = limits.PACKS_USUAL
    """The text packs that the node reads, as a bitmap of their ids."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who answers? Asks every node in reach for its beacon, at once."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. The same id again means: send what I lack."""

    ask_id: int
    """32 bits, chosen by the asker."""
    model: str
    """Name of the wanted model, empty for any."""
    deadline_s: int
    """Seconds, from the first sending, after which an answer is of no use."""
    max_tokens: int
    """Longest answer wanted, in tokens; 0 leaves it to the answerer."""
    turns: tuple[Turn, ...]
    """The conversation, the question last. Empty in a repetition to a peer that has shown it holds the question."""
    have: frozenset[int] | None = None
    """In a repetition: the numbers of the answer pieces that arrived. None the first time."""
    run: int = 0
    """Which answer those pieces are of: their `run`."""
    packs: int = limits.PACKS_USUAL
    """The text packs that the asker reads, as a bitmap of their ids: the answer comes in one of them, or in none."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Your question is in the queue."""

    ask_id: int
    wait_s: int
    """Seconds until the whole answer should be ready to send."""


@dataclass(frozen=True, slots=True)
class Busy:
    """No room for your question now."""

    ask_id: int
    retry_after_s: int
    backlog_s: int


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """A part of the answer, in order of `number` from 0; more follows."""

    ask_id: int
    number: int
    text: str
    run: int = 0
    """16 bits that the session of the answerer chooses, so that parts of two answers to one question never mix."""


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """The last part of the answer: `number` pieces came before it."""

    ask_id: int
    number: int
    text: str
    model: str = ""
    """Empty for the one that was asked for, or else the first of the answerer's beacon."""
    tokens: int = 0
    """Tokens of the whole answer, 0 when not said."""
    truncated: bool = False
    """True when the token limit ended the answer."""
    run: int = 0
    """As in the pieces before it; 0 when there are none."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """No answer will come, and why."""

    ask_id: int
    code: RefuseCode
    reason: str = ""
    """A few plain words for a person, at most 80 bytes."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The asker no longer wants the answer."""

    ask_id: int


@dataclass(frozen=True, slots=True)
class Gap:
    """These fragments of your transfer did not arrive."""

    transfer: int
    """The transfer's number in the fragment header, 0 to 255."""
    missing: frozenset[int]
    """Indices of the missing fragments; empty means all."""


Message = Beacon | Who | Ask | Accept | Busy | AnswerPiece | AnswerDone | Refuse | Cancel | Gap

NUMBERS: dict[type[Message], int] = {
    Beacon: 1,
    Who: 2,
    Ask: 3,
    Accept: 4,
    Busy: 5,
    AnswerPiece: 6,
    AnswerDone: 7,
    Refuse: 8,
    Cancel: 9,
    Gap: 10,
}
"""Message type -> its number on the wire. Append only; the number of a removed message is never given again."""
