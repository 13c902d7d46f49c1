"""What flies over the virtual air, for people: each transmission named, and what some of them cost together.

Reads frames with the protocol's own code, as far as they are clear; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nodes.interfaces import Cost
from protocol.airtime import Preset, time_on_air_s
from simulator.frame_names import FrameNames
from simulator.medium import Transmission

__all__ = ["Air", "Flight", "airtime_at", "cost_of", "transmission_form"]


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
