"""What became of the packets we sent: real and implicit acknowledgements told apart, and every NAK in plain words.

Matches a radio's reports with packet ids. Sends nothing and knows no radio.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import trio

from nodes.interfaces import RadioAck

__all__ = [
    "DUTY_CYCLE",
    "KEY_UNKNOWN",
    "NO_CHANNEL",
    "Delivery",
    "Expected",
    "Fate",
    "nak_words",
    "routing_error_of_status",
]

MAX_RETRANSMIT, NO_CHANNEL, DUTY_CYCLE, KEY_UNKNOWN = 5, 6, 9, 39
"""`Routing.Error` numbers (`mesh.proto`) that ask for something to be done."""

_NAK_WORDS = {
    1: "no way to the receiver is known",
    2: "the receiver refused it",
    3: "nothing came back in time",
    4: "the radio has no region set, so it may not send",
    MAX_RETRANSMIT: "no acknowledgement came; it may have arrived all the same",
    NO_CHANNEL: "the radio has no such channel",
    7: "it is too long for a packet",
    8: "nobody answered it",
    DUTY_CYCLE: "the region's duty cycle is used up for this hour",
    32: "the radio's queue is full",
    33: "the radio does not allow it",
    34: "the receiver could not read it",
    35: "the receiver does not know our radio's key",
    36: "the radio's administration key has expired",
    37: "the radio's administration key is not allowed",
    38: "the radio's rate limit",
    KEY_UNKNOWN: "the receiver's key is not known to our radio",
}


_NO_INTERFACE = 4
_STATUS_ERRORS = {33: _NO_INTERFACE, 34: _NO_INTERFACE}
"""`ERRNO_NO_INTERFACES` and `ERRNO_DISABLED` (firmware `error.h`) mean something else as `Routing.Error`."""


class Fate(Enum):
    """What became of a packet that wanted an acknowledgement."""

    DELIVERED = auto()
    """Its receiver acknowledged it."""
    RELAYED = auto()
    """Somebody relayed it, and nothing more is known."""
    UNKNOWN = auto()
    """Nothing was heard of it: it may have arrived."""
    REFUSED = auto()
    """Our radio or the receiver did not take it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The mesh's last word on one packet."""

    fate: Fate
    error: int = 0
    """`Routing.Error` number of a REFUSED one."""

    @property
    def why(self) -> str:
        """Why it was refused, in plain words; empty when it was not."""
        return nak_words(self.error) if self.error else ""


def nak_words(error: int) -> str:
    """A `Routing.Error` number in plain words."""
    return _NAK_WORDS.get(error, f"the radio's error {error}")


class Expected:
    """One packet that the mesh will say something about."""

    def __init__(self, to: int) -> None:
        """`to`: node number of its receiver."""
        self._to = to
        self._fate = Fate.UNKNOWN
        self._error = 0
        self._settled = trio.Event()

    def take(self, ack: RadioAck) -> None:
        """Note one report.

        One from our own radio without an error is implicit: a relay was heard. MAX_RETRANSMIT settles nothing, because
        sealed packets get no implicit acknowledgement and a real one may follow it (seen in traces of firmware 2.8).
        """
        if ack.error == 0:
            self._fate = Fate.DELIVERED if ack.sender == self._to else Fate.RELAYED
        elif ack.error != MAX_RETRANSMIT:
            self._fate, self._error = Fate.REFUSED, ack.error
        if self._fate in (Fate.DELIVERED, Fate.REFUSED):
            self._settled.set()

    async def delivery(self, patience_s: float) -> Delivery:
        """Wait until its fate is settled, or for so many seconds."""
        with trio.move_on_after(patience_s):
            await self._settled.wait()
        return Delivery(self._fate, self._error)


def routing_error_of_status(error: int) -> int:
    """The `Routing.Error` that a queue status' `res` stands for: most are the same number."""
    return _STATUS_ERRORS.get(error, error)
