"""What a session tells its owner: one small frozen class per happening, no half-filled ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocol.errors import RefuseCode
from protocol.messages import Ask, Beacon

__all__ = [
    "AnswerFinished",
    "AnswerRestarted",
    "AnswerText",
    "AskFailed",
    "AskPromised",
    "AskReceived",
    "AskStopped",
    "BeaconHeard",
    "Dropped",
    "Event",
    "Failure",
    "WhoHeard",
]


@dataclass(frozen=True, slots=True)
class BeaconHeard:
    """A peer announced itself."""

    peer: str
    beacon: Beacon
    hops: int


@dataclass(frozen=True, slots=True)
class WhoHeard:
    """A peer looks for answerers."""

    peer: str


@dataclass(frozen=True, slots=True)
class AskReceived:
    """A peer's question, for the first time."""

    peer: str
    ask: Ask


@dataclass(frozen=True, slots=True)
class AskStopped:
    """A peer's question needs no answer any more: cancelled, or past its deadline."""

    peer: str
    ask_id: int
    expired: bool


@dataclass(frozen=True, slots=True)
class AskPromised:
    """The peer took our question and expects the answer in `wait_s` seconds."""

    ask_id: int
    wait_s: int


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The next characters of the answer to our question, in order."""

    ask_id: int
    text: str


@dataclass(frozen=True, slots=True)
class AnswerRestarted:
    """The text so far is void: the peer lost our question and answers anew, or parts did not belong together."""

    ask_id: int


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """Our question is answered; `text` is the whole answer. The last event of its question."""

    ask_id: int
    text: str
    model: str
    tokens: int
    truncated: bool


class Failure(Enum):
    """Why our question got no answer."""

    BUSY = "busy"
    REFUSED = "refused"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class AskFailed:
    """Our question gets no answer from this peer. The last event of its question."""

    ask_id: int
    failure: Failure
    code: RefuseCode = RefuseCode.UNKNOWN
    reason: str = ""
    retry_after_s: int = 0
    heard: bool = False
    """Whether the peer was heard at all since we asked."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that arrived was of no use; for the trace."""

    peer: str
    why: str


Event = (
    BeaconHeard
    | WhoHeard
    | AskReceived
    | AskStopped
    | AskPromised
    | AnswerText
    | AnswerRestarted
    | AnswerFinished
    | AskFailed
    | Dropped
)
