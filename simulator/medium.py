"""The shared air: who hears whom, for how long a packet occupies the channel, and what is lost when two overlap.

One plain object with one heap of events that one task drives, on the virtual clock as on the real one. It knows
stations by name and packets by size, and nothing of why a radio sends: that is `simulator.firmware`.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import trio

from protocol.airtime import Preset, time_on_air_s

if TYPE_CHECKING:
    from random import Random

    from simulator.channels import Tuning
    from simulator.packet import Packet

__all__ = ["Link", "Medium", "Observer", "Station", "Timer", "Transmission"]

_DETECTION_SYMBOLS = 2.5
"""Channel-activity detection misses a transmission younger than this; a contention slot is this and 7.6 ms long."""


@dataclass(frozen=True, slots=True)
class Link:
    """How well one station hears another."""

    snr_db: float = 6.0
    loss: float = 0.0
    """Probability that a packet is lost on this link for no other reason, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """One packet on the air, once. Observers get it when it starts and again, complete, when it ends."""

    number: int
    """Counts the medium's transmissions from 0: the same at start and end."""
    time_s: float
    """When it started, on trio's clock."""
    radio: str
    """Name of the radio that transmits."""
    sender: int
    """Node number of the packet's origin."""
    to: int
    packet_id: int
    port: int
    payload: bytes
    phy_bytes: int
    airtime_s: float
    hop_limit: int
    hop_start: int
    request_id: int
    """The packet that this one answers or acknowledges; 0 for none."""
    relayed: bool
    """True when the radio is not the packet's origin."""
    pkc: bool = False
    """True when sealed for its receiver, so that no relay could read it."""
    want_ack: bool = False
    ended: bool = False
    heard_by: tuple[str, ...] = ()
    """Radios that received it; known at the end."""
    lost_at: tuple[str, ...] = ()
    """Radios in reach that did not; known at the end."""


Observer = Callable[[Transmission], None]


class Station(ABC):
    """What the medium needs of a radio. Its methods are called by the task that drives the medium."""

    name: str
    node_number: int

    @property
    def tuning(self) -> Tuning | None:
        """What stations must share to hear one another at all; None for the medium's own preset."""
        return None

    @abstractmethod
    def on_sent(self, packet: Packet, airtime_s: float) -> None:
        """Our transmission ended."""

    @abstractmethod
    def on_heard(self, packet: Packet, snr_db: float, airtime_s: float) -> None:
        """A packet arrived whole."""

    @abstractmethod
    def on_noise(self, airtime_s: float) -> None:
        """A packet occupied the channel here and could not be read."""


class Timer:
    """An action that waits for its time; `cancel` forgets it."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the action."""
        self.action = None


@dataclass(slots=True, eq=False)
class _Flight:
    """A transmission under way."""

    station: Station
    packet: Packet
    transmission: Transmission
    reached: dict[str, bool]
    """Station in reach -> whether it can still be read there."""


class Medium:
    """The air that a neighbourhood's radios share: half duplex, no capture; other frequencies stay unheard."""

    def __init__(self, preset: Preset, rng: Random) -> None:
        self.preset = preset
        self._rng = rng
        self._stations: dict[str, Station] = {}
        self._reach: dict[str, dict[str, Link]] = {}
        self._sending: dict[str, _Flight] = {}
        self._incoming: dict[str, list[_Flight]] = {}
        self._observers: list[Observer] = []
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = count()
        self._numbers = count()
        self._now_s = 0.0
        self._started = False
        self._advancing = False
        self._earlier = trio.Event()

    def join(self, station: Station) -> None:
        """Put a station on the air; it hears and reaches nobody until `connect`."""
        self._stations[station.name] = station
        self._reach.setdefault(station.name, {})
        self._incoming.setdefault(station.name, [])

    def leave(self, name: str) -> None:
        """Take a station off the air: what it was sending or hearing is lost. `join` brings it back, links kept.

        What it was sending still occupies the channel to its end.
        """
        del self._stations[name]
        if (own := self._sending.pop(name, None)) is not None:
            own.reached = dict.fromkeys(own.reached, False)
        for flight in self._incoming[name]:
            flight.reached[name] = False

    def connect(self, sender: str, receiver: str, link: Link | None) -> None:
        """Set how `receiver` hears `sender`; None cuts the link. Takes effect with the next transmission."""
        if link is None:
            self._reach.setdefault(sender, {}).pop(receiver, None)
        else:
            self._reach.setdefault(sender, {})[receiver] = link

    def observe(self, observer: Observer) -> None:
        """Call `observer` with each transmission when it starts and again when it ends."""
        self._observers.append(observer)

    @property
    def now_s(self) -> float:
        """Time of the event at hand, on trio's clock."""
        return self._now_s

    def is_sending(self, name: str) -> bool:
        """True while this station transmits."""
        return name in self._sending

    def is_busy(self, name: str) -> bool:
        """True when this station detects somebody else's transmission on the channel."""
        visible_since_s = self._now_s - _DETECTION_SYMBOLS * self.preset.symbol_s
        return any(flight.transmission.time_s <= visible_since_s for flight in self._incoming[name])

    def transmit(self, station: Station, packet: Packet) -> None:
        """Start a transmission now. A station that already transmits must not."""
        preset = station.tuning.preset if station.tuning else self.preset
        airtime_s = time_on_air_s(preset, packet.phy_bytes)
        transmission = Transmission(
            number=next(self._numbers),
            time_s=self._now_s,
            radio=station.name,
            sender=packet.sender,
            to=packet.to,
            packet_id=packet.packet_id,
            port=packet.port,
            payload=packet.payload,
            phy_bytes=packet.phy_bytes,
            airtime_s=airtime_s,
            hop_limit=packet.hop_limit,
            hop_start=packet.hop_start,
            request_id=packet.request_id,
            relayed=packet.sender != station.node_number,
            pkc=packet.pkc,
            want_ack=packet.want_ack,
        )
        flight = _Flight(station, packet, transmission, {})
        for overheard in self._incoming[station.name]:
            overheard.reached[station.name] = False
        for name in self._reach[station.name]:
            if name not in self._stations or self._stations[name].tuning != station.tuning:
                continue
            others = self._incoming[name]
            flight.reached[name] = name not in self._sending and not others
            for other in others:
                other.reached[name] = False
            others.append(flight)
        self._sending[station.name] = flight
        self._tell(transmission)
        self.call_at(self._now_s + airtime_s, lambda: self._end(flight))

    def call_at(self, time_s: float, action: Callable[[], None]) -> Timer:
        """Have `action` called at `time_s` on trio's clock, by the task that drives the medium."""
        timer = Timer(action)
        if not self._heap or time_s < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (time_s, next(self._sequence), timer))
        return timer

    def catch_up(self) -> None:
        """Let everything happen that is due by now. Whoever acts on the medium from outside calls this first."""
        if self._advancing:
            return
        self._advancing = True
        try:
            now_s = trio.current_time()
            if not self._started:
                # What was scheduled before time ran counts from its start: trio's clock begins anywhere.
                self._started = True
                self._heap = [(now_s + time_s, order, timer) for time_s, order, timer in self._heap]
            while self._heap and self._heap[0][0] <= now_s:
                due_s, _, timer = heapq.heappop(self._heap)
                if timer.action is not None:
                    self._now_s = max(self._now_s, due_s)
                    timer.action()
            self._now_s = now_s
        finally:
            self._advancing = False

    async def run(self) -> None:
        """Drive the medium until cancelled. Exactly one task does."""
        while True:
            self.catch_up()
            self._earlier = trio.Event()
            with trio.move_on_at(self._heap[0][0] if self._heap else math.inf):
                await self._earlier.wait()

    def _end(self, flight: _Flight) -> None:
        completed = self._sending.get(flight.station.name) is flight
        if completed:
            del self._sending[flight.station.name]
        airtime_s = flight.transmission.airtime_s
        links = self._reach[flight.station.name]
        heard: list[tuple[Station, Link]] = []
        lost: list[str] = []
        for name, readable in flight.reached.items():
            self._incoming[name].remove(flight)
            link = links.get(name)
            station = self._stations.get(name)
            if readable and link and station and not (link.loss and self._rng.random() < link.loss):
                heard.append((station, link))
            else:
                lost.append(name)
        heard_by = tuple(station.name for station, _ in heard)
        self._tell(replace(flight.transmission, ended=True, heard_by=heard_by, lost_at=tuple(lost)))
        if completed:
            flight.station.on_sent(flight.packet, airtime_s)
        for name in self._present(lost):
            self._stations[name].on_noise(airtime_s)
        for station, link in heard:
            station.on_heard(flight.packet, link.snr_db, airtime_s)

    def _present(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self._stations]

    def _tell(self, transmission: Transmission) -> None:
        for observer in self._observers:
            observer(transmission)
