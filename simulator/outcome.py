"""What came of a simulated run: what people felt, what it cost the air, and, when wanted, every packet.

Data and sums only: `simulator.world` fills it, `simulator.report` and the command line show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.scenario.plan import Scenario

__all__ = ["Asked", "LinkUse", "Outcome", "Sent", "Station", "StationUse"]


@dataclass(frozen=True, slots=True)
class Station:
    """A radio of the run."""

    name: str
    x_m: float
    y_m: float
    height_m: float
    """Antenna above sea level, ground included."""
    role: str
    is_house: bool
    models: tuple[str, ...] = ()
    """Models that its house's devices answer with."""


@dataclass(slots=True)
class StationUse:
    """What one radio did."""

    sent_s: float = 0.0
    """Seconds of air that it sent, relayed packets included."""
    packets: int = 0
    relayed: int = 0
    """Packets of others among them."""
    heard: int = 0
    lost: int = 0
    """Receptions lost to overlap, loss or its own sending."""
    utilisation_by_hour: list[float] = field(default_factory=list)
    """Channel utilisation here, percent, for each hour of the run."""
    asked: int = 0
    answered: int = 0
    """Questions of others that its node answered."""
    energy_wh: float = 0.0
    """What its radio and devices took."""
    off_s: float = 0.0
    """How long its battery was empty."""


@dataclass(frozen=True, slots=True)
class LinkUse:
    """One direction between two radios."""

    sender: int
    """Index in `Outcome.stations`."""
    receiver: int
    snr_db: float
    """As the model gives it; below the sensitivity's SNR nothing is received."""
    heard: int = 0
    """Packets received over it."""
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what became of it."""

    time_s: float
    """Seconds since the start of the run."""
    station: int
    """Index in `Outcome.stations` of the house that asked."""
    language: str
    ending: str
    """`answered`, `cached`, `fixed`, or `failed`."""
    seconds: float
    """Until it ended."""
    answered_by: int | None = None
    """Index of the station whose node answered; None for nobody, or for its own cache."""
    hops: int = 0
    truncated: bool = False
    cost_s: float = 0.0
    """Seconds of air that it took, all transmitters, as the asking node estimates them."""
    why: str = ""
    """Where it failed: what the person was told."""
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One transmission, kept when a report is wanted."""

    time_s: float
    station: int
    airtime_s: float
    kind: str
    """`question`, `answer`, `beacon`, `control`, `text`, `nodeinfo`, `position`, `telemetry`, `routing` or `other`."""
    packet: int
    """The same for all copies of one packet: counts packets from 0."""
    relayed: bool
    heard_by: tuple[int, ...]
    lost_at: tuple[int, ...]


@dataclass(slots=True)
class Outcome:
    """A run and what came of it."""

    scenario: Scenario
    seed: int
    simulated_s: float
    stations: list[Station]
    use: list[StationUse]
    """In the order of `stations`."""
    asked: list[Asked]
    links: list[LinkUse]
    """Every direction in which something can be received, use included."""
    events: int = 0
    """Happenings in the air that were simulated."""
    transmissions: int = 0
    receptions: int = 0
    collisions: int = 0
    """Receptions that were lost to overlap."""
    airtime_by_kind_s: dict[str, float] = field(default_factory=dict)
    """Seconds of air by `Sent.kind`, all transmitters."""
    sent: list[Sent] = field(default_factory=list)
    """Empty unless it was wanted."""
    faults: dict[str, int] = field(default_factory=dict)
    """Faults that were injected, by kind."""
    violations: list[str] = field(default_factory=list)
    """What a checker found, in plain words."""
    trace_hash: str = ""
    """The same for equal runs: over every transmission and every ending."""
