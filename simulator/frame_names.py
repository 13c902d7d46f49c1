"""What a transmission is about, for people and for sums: frames are read with the protocol's own code.

Only what is clear on the air, or was, at its first frame, is named; sends nothing.
"""

from __future__ import annotations

from nodes.bearers.deliveries import nak_words
from nodes.bearers.radio import PRIVATE_PORT
from protocol import limits
from protocol.errors import RemoteError
from protocol.fragments import read_frame
from protocol.messages import NUMBERS
from simulator.medium import Transmission
from simulator.packet import (
    NODEINFO_PORT,
    POSITION_PORT,
    ROUTING_PORT,
    TELEMETRY_PORT,
    TEXT_PORT,
    routing_error,
)

__all__ = ["FrameNames", "kind_of"]

_KINDS = {number: kind.__name__ for kind, number in NUMBERS.items()}
_WORDS = {
    "Beacon": "beacon",
    "Who": "who answers?",
    "Ask": "question",
    "Accept": "accepted",
    "Busy": "busy",
    "AnswerPiece": "answer",
    "AnswerDone": "answer",
    "Refuse": "refused",
    "Cancel": "cancelled",
    "Gap": "asks for what it lacks",
}
_PORTS = {1: "text", 3: "position", 4: "node info", 6: "administration", 67: "telemetry", 70: "traceroute"}
_REMEMBERED = 500
"""How many packets an acknowledgement can name."""


class FrameNames:
    """Names transmissions; remembers what a transfer's first frame said of its message, and what was sent lately."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, int], str] = {}
        self._names: dict[int, str] = {}
        """Packet id -> its name."""

    def name(self, sent: Transmission) -> str:
        """Such as `answer 2/3`, `question`, `ACK of question`, or `text` for what is not ours."""
        name = self._names.pop(sent.packet_id, None) or self._new_name(sent)
        self._names[sent.packet_id] = name
        while len(self._names) > _REMEMBERED:
            del self._names[next(iter(self._names))]
        return name

    def _new_name(self, sent: Transmission) -> str:
        if sent.port == ROUTING_PORT:
            error = routing_error(sent.payload)
            of = self._names.get(sent.request_id, "a packet")
            return f"NAK of {of}: {nak_words(error)}" if error else f"ACK of {of}"
        if sent.port != PRIVATE_PORT:
            return _PORTS.get(sent.port, f"port {sent.port}")
        try:
            fragment = read_frame(sent.payload)
        except RemoteError:
            return "not meshai's"
        key = (sent.sender, fragment.transfer)
        if fragment.index == 0:
            start = limits.MESSAGE_CHECK_BYTES if fragment.total > 1 else 0
            number = next(iter(fragment.payload[start:]), 0)
            self._kinds[key] = _WORDS.get(_KINDS.get(number, ""), "message")
        part = f" {fragment.index + 1}/{fragment.total}" if fragment.total > 1 else ""
        return f"{self._kinds.get(key, 'message')}{part}"


_KIND_OF_PORT = {
    TEXT_PORT: "text",
    POSITION_PORT: "position",
    NODEINFO_PORT: "nodeinfo",
    ROUTING_PORT: "routing",
    TELEMETRY_PORT: "telemetry",
}
_KIND_OF_WORD = {"question": "question", "answer": "answer", "beacon": "beacon"}


def kind_of(sent: Transmission, name: str) -> str:
    """The kind that sums count a transmission under (`simulator.outcome.Sent.kind`), given its name."""
    if sent.port == PRIVATE_PORT:
        return _KIND_OF_WORD.get(name.split(" ")[0], "control")
    return _KIND_OF_PORT.get(sent.port, "other")
