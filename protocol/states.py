"""The asker's and the answerer's transitions, as data.

`protocol.session` looks every step up here, `docs/protocol.md` draws these tables, and a test walks them. A pair that
is missing means: nothing happens, the input was late or repeated.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["ANSWERER", "ASKER", "Answering", "AnsweringInput", "Asking", "AskingInput", "Do"]


class Asking(Enum):
    """Where one of our questions stands."""

    ASKED = auto()
    """Sent or being sent; nothing heard."""
    PROMISED = auto()
    """The peer accepted it and said how long it will take."""
    RECEIVING = auto()
    """Part of the answer is here."""
    CLOSED = auto()
    """Answered, failed or cancelled: whatever comes now is late."""


class AskingInput(Enum):
    """What can happen to one of our questions."""

    ACCEPT = auto()
    BUSY = auto()
    REFUSE = auto()
    FORGOTTEN = auto()
    """The peer no longer holds the question of a repetition that left it out."""
    PART = auto()
    """Some of the answer arrived, not all."""
    WHOLE = auto()
    """The last missing part arrived."""
    TIMER = auto()
    DEADLINE = auto()
    CANCEL = auto()


class Answering(Enum):
    """Where one of a peer's questions stands."""

    ASKED = auto()
    """Handed to the node, nothing decided."""
    PROMISED = auto()
    """Accepted; the answer is being made."""
    ANSWERED = auto()
    """The whole answer is queued or sent, and held for repetitions."""
    DECLINED = auto()
    """Busy or Refuse was sent, and is held for repetitions."""
    CLOSED = auto()
    """Cancelled, and remembered until its deadline; or past it."""


class AnsweringInput(Enum):
    """What can happen to one of a peer's questions."""

    AGAIN = auto()
    """The Ask came again."""
    ACCEPT = auto()
    PIECE = auto()
    DONE = auto()
    DECLINE = auto()
    CANCEL = auto()
    EXPIRE = auto()


class Do(Enum):
    """What the session does on a transition."""

    NOTHING = auto()
    WAIT_PROMISED = auto()
    FAIL_BUSY = auto()
    FAIL_REFUSED = auto()
    ASK_WHOLE_AGAIN = auto()
    SHOW = auto()
    FINISH = auto()
    ASK_FOR_MISSING = auto()
    FAIL_DEADLINE = auto()
    SEND_CANCEL = auto()
    SEND_PROMISE = auto()
    SEND_PART = auto()
    SEND_DECLINE = auto()
    SEND_MISSING = auto()
    REPEAT_DECLINE = auto()
    STOP = auto()
    FORGET = auto()


_ANY_OPEN = (Asking.ASKED, Asking.PROMISED, Asking.RECEIVING)

ASKER: dict[tuple[Asking, AskingInput], tuple[Asking, Do]] = {
    (Asking.ASKED, AskingInput.ACCEPT): (Asking.PROMISED, Do.WAIT_PROMISED),
    (Asking.PROMISED, AskingInput.ACCEPT): (Asking.PROMISED, Do.WAIT_PROMISED),
    (Asking.RECEIVING, AskingInput.ACCEPT): (Asking.RECEIVING, Do.WAIT_PROMISED),
    **{(state, AskingInput.BUSY): (Asking.CLOSED, Do.FAIL_BUSY) for state in _ANY_OPEN},
    **{(state, AskingInput.REFUSE): (Asking.CLOSED, Do.FAIL_REFUSED) for state in _ANY_OPEN},
    **{(state, AskingInput.FORGOTTEN): (Asking.ASKED, Do.ASK_WHOLE_AGAIN) for state in _ANY_OPEN},
    **{(state, AskingInput.PART): (Asking.RECEIVING, Do.SHOW) for state in _ANY_OPEN},
    **{(state, AskingInput.WHOLE): (Asking.CLOSED, Do.FINISH) for state in _ANY_OPEN},
    **{(state, AskingInput.TIMER): (state, Do.ASK_FOR_MISSING) for state in _ANY_OPEN},
    **{(state, AskingInput.DEADLINE): (Asking.CLOSED, Do.FAIL_DEADLINE) for state in _ANY_OPEN},
    **{(state, AskingInput.CANCEL): (Asking.CLOSED, Do.SEND_CANCEL) for state in _ANY_OPEN},
}
"""(state, input) -> (next state, action) of one of our questions."""

_UNDECIDED = (Answering.ASKED, Answering.PROMISED)

ANSWERER: dict[tuple[Answering, AnsweringInput], tuple[Answering, Do]] = {
    **{(state, AnsweringInput.ACCEPT): (Answering.PROMISED, Do.SEND_PROMISE) for state in _UNDECIDED},
    **{(state, AnsweringInput.PIECE): (Answering.PROMISED, Do.SEND_PART) for state in _UNDECIDED},
    **{(state, AnsweringInput.DONE): (Answering.ANSWERED, Do.SEND_PART) for state in _UNDECIDED},
    **{(state, AnsweringInput.DECLINE): (Answering.DECLINED, Do.SEND_DECLINE) for state in _UNDECIDED},
    **{(state, AnsweringInput.AGAIN): (state, Do.SEND_MISSING) for state in (*_UNDECIDED, Answering.ANSWERED)},
    (Answering.DECLINED, AnsweringInput.AGAIN): (Answering.DECLINED, Do.REPEAT_DECLINE),
    **{(state, AnsweringInput.CANCEL): (Answering.CLOSED, Do.STOP) for state in _UNDECIDED},
    (Answering.ANSWERED, AnsweringInput.CANCEL): (Answering.CLOSED, Do.FORGET),
    (Answering.DECLINED, AnsweringInput.CANCEL): (Answering.CLOSED, Do.FORGET),
    **{(state, AnsweringInput.EXPIRE): (Answering.CLOSED, Do.STOP) for state in _UNDECIDED},
    (Answering.ANSWERED, AnsweringInput.EXPIRE): (Answering.CLOSED, Do.FORGET),
    (Answering.DECLINED, AnsweringInput.EXPIRE): (Answering.CLOSED, Do.FORGET),
}
"""(state, input) -> (next state, action) of one of a peer's questions."""
