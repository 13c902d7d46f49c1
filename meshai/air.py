"""What flies over the virtual air, for people: each transmission named, and what some of them cost together.

Reads frames with the protocol's own code, as far as they are clear; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nodes.bearers.deliveries import nak_words
from nodes.bearers.radio import PRIVATE_PORT
from nodes.interfaces import Cost
from protocol import limits
from protocol.airtime import Preset, time_on_air_s
from protocol.errors import RemoteError
from protocol.fragments import read_frame
from protocol.messages import NUMBERS
from simulator.medium import Transmission
from simulator.packet import ROUTING_PORT, routing_error

__all__ = ["Air", "Flight", "FrameNames", "airtime_at", "cost_of", "transmission_form"]

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


def transmission_form(sent: Transmission) -> dict[str, Any]:
    """A transmission as it is printed with `--json`; the payload in hex."""
    return {**asdict(sent), "payload": sent.payload.hex()}


@dataclass(frozen=True, slots=True)
class Flight:
    """One transmission that ended, as the air told it."""

    radio: str
    what: str
    sender: int
    to: int
    phy_bytes: int
    airtime_s: float
    relayed: bool
    heard_by: tuple[str, ...]


class Air:
    """Everything that was transmitted so far in a process of `meshai sim radios --json`."""

    def __init__(self, hear: Callable[[Flight], None]) -> None:
        """`hear` gets each transmission when it ends."""
        self._hear = hear
        self._names = FrameNames()
        self.flights: list[Flight] = []

    def take(self, form: dict[str, Any]) -> None:
        """Take a line that the process printed."""
        if "transmission" not in form:
            return
        sent = Transmission(**{**form["transmission"], "payload": bytes.fromhex(form["transmission"]["payload"])})
        if sent.ended:
            what, heard_by = self._names.name(sent), tuple(sent.heard_by)
            flight = Flight(
                sent.radio, what, sent.sender, sent.to, sent.phy_bytes, sent.airtime_s, sent.relayed, heard_by
            )
            self.flights.append(flight)
            self._hear(flight)

    def between(self, one: int, other: int, *, since: int) -> list[Flight]:
        """The transmissions of packets between two nodes, from flight number `since` on."""
        return [flight for flight in self.flights[since:] if {flight.sender, flight.to} == {one, other}]


def cost_of(flights: list[Flight]) -> Cost:
    """What `flights` took of the air, counted."""
    return Cost(len(flights), sum(f.phy_bytes for f in flights), sum(f.airtime_s for f in flights))


def airtime_at(flights: list[Flight], preset: Preset) -> float:
    """Seconds of air that the same packets would take at another preset."""
    return sum(time_on_air_s(preset, flight.phy_bytes) for flight in flights)
