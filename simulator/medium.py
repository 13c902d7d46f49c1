"""The shared air: who hears whom, for how long a packet occupies the channel, and what is lost when two overlap.

One plain object with one heap of events that one task drives, on the virtual clock as on the real one. It knows
stations by name and packets by size, and nothing of why a radio sends: that is `simulator.firmware`. A transmission
costs as much as it has stations in reach, however many there are beyond.

Two that overlap at a receiver spoil each other, unless one is `capture_db` stronger, or the overlap is over before the
later one's preamble is needed (Bor et al., "Do LoRa Low-Power Wide-Area Networks Scale?", 2016). Other frequencies and
presets stay unheard; on request, other spreading factors on the same frequency disturb where they are far stronger.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import trio

from protocol.airtime import PREAMBLE_SYMBOLS, Preset, time_on_air_s
from simulator import kernel
from simulator.lora import CAPTURE_DB, DETECTION_MARGIN_DB, PREAMBLE_NEEDED_SYMBOLS, required_snr_db

if TYPE_CHECKING:
    from random import Random

    from simulator.channels import Tuning
    from simulator.packet import Packet

__all__ = ["Link", "Medium", "Observer", "Station", "Timer", "Transmission"]

_TOLD_SNR_MAX_DB = 12.0
"""A receiver's own reading of the SNR ends about there (SX1262), however near the sender stands."""

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
    next_hop: int = 0
    """Last byte of the node number of the one radio that is to pass it on; 0 for all."""
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
        """What stations must share to hear one another at all; None for the medium's own preset. Asked on joining."""
        return None

    @abstractmethod
    def on_sent(self, packet: Packet, airtime_s: float) -> None:
        """Our transmission ended."""

    @abstractmethod
    def on_heard(self, packet: Packet, snr_db: float, airtime_s: float) -> None:
        """A packet arrived whole."""

    @abstractmethod
    def on_noise(self, airtime_s: float) -> None:
        """A packet occupied the channel here for so long, beside others counted already, and could not be read."""


class Timer:
    """An action that waits for its time; `cancel` forgets it."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the action."""
        self.action = None


class _Seat:
    """A station's place in the air; stays when the station leaves."""

    __slots__ = (
        "carrier",
        "detected_db",
        "incoming",
        "name",
        "needed_db",
        "noisy_until_s",
        "preset",
        "reach",
        "sending",
        "station",
        "strangers",
        "tuning",
        "visible_after_s",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.station: Station | None = None
        self.tuning: Tuning | None = None
        self.carrier: tuple[str, int, float] | None = None
        """Region, slot and bandwidth: where two agree, their signals meet, whatever their spreading factors."""
        self.preset: Preset
        self.needed_db = self.detected_db = 0.0
        """SNRs that reception, and noticing that the channel is in use, need with this preset."""
        self.visible_after_s = 0.0
        """A transmission younger than this goes unnoticed."""
        self.reach: dict[str, tuple[_Seat, Link]] = {}
        self.sending: _Flight | None = None
        self.incoming: list[_Arrival] = []
        self.strangers: list[tuple[_Flight, float]] = []
        """Transmissions of other spreading factors on its frequency, ended ones among them, and their SNRs here."""
        self.noisy_until_s = 0.0
        """Until when the channel's use was counted here."""


class _Flight:
    """A transmission under way."""

    __slots__ = ("airtime_s", "arrivals", "end_s", "packet", "seat", "start_s", "transmission")

    def __init__(self, seat: _Seat, packet: Packet, start_s: float, airtime_s: float) -> None:
        self.seat = seat
        self.packet = packet
        self.start_s = start_s
        self.airtime_s = airtime_s
        self.end_s = start_s + airtime_s
        self.arrivals: list[_Arrival] = []
        self.transmission: Transmission | None = None


class _Arrival:
    """A transmission as it comes to one station."""

    __slots__ = ("flight", "is_audible", "is_readable", "link", "missed", "seat", "snr_db")

    def __init__(self, flight: _Flight, seat: _Seat, link: Link, snr_db: float, *, is_audible: bool) -> None:
        self.flight = flight
        self.seat = seat
        self.link = link
        self.snr_db = snr_db
        self.is_audible = is_audible
        """Whether it could be read if the channel were free; else it only disturbs others."""
        self.missed = seat.sending is not None
        """Whether the station was sending itself meanwhile, and so noticed nothing."""
        self.is_readable = is_audible and not self.missed


class Medium:
    """The air that a neighbourhood's radios share."""

    def __init__(
        self,
        preset: Preset,
        rng: Random,
        *,
        capture_db: float = CAPTURE_DB,
        fading_db: float = 0.0,
        preamble_saves: bool = True,
        preamble_symbols: int = PREAMBLE_SYMBOLS,
        rejection: Mapping[int, Mapping[int, float]] | None = None,
    ) -> None:
        """`capture_db`: so much stronger survives an overlap, infinity for never.

        `fading_db` is the standard deviation by which each reception's SNR differs from its link's. `preamble_saves`:
        whether an overlap may be confined to the beginning of a preamble, of which there are `preamble_symbols`.
        `rejection`: spreading factor wanted -> another on its frequency -> dB by which the wanted one must be above it,
        such as `simulator.lora.REJECTION_DB`; None where they never disturb one another.
        """
        self.preset = preset
        self._rng = rng
        self._capture_db = capture_db
        self._fading_db = fading_db
        self._preamble_symbols = preamble_symbols
        self._spare_symbols = preamble_symbols - PREAMBLE_NEEDED_SYMBOLS if preamble_saves else 0
        self._rejection = rejection
        self._seats: dict[str, _Seat] = {}
        self._tunings: dict[Tuning | None, Tuning | None] = {}
        self._observers: list[Observer] = []
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = count()
        self._numbers = count()
        self._now_s = 0.0
        self._started = False
        self._advancing = False
        self._earlier = trio.Event()
        self.events = 0
        """Happenings so far."""
        self.collisions = 0
        """Receptions lost to overlap so far."""

    def join(self, station: Station) -> None:
        """Put a station on the air, or note its new tuning; it hears and reaches nobody until `connect`."""
        seat = self._seat(station.name)
        seat.station = station
        seat.tuning = self._tunings.setdefault(station.tuning, station.tuning)
        seat.preset = seat.tuning.preset if seat.tuning else self.preset
        seat.carrier = (seat.tuning.region, seat.tuning.slot, seat.preset.bandwidth_hz) if seat.tuning else None
        seat.needed_db = required_snr_db(seat.preset.spreading_factor)
        seat.detected_db = seat.needed_db - DETECTION_MARGIN_DB
        seat.visible_after_s = _DETECTION_SYMBOLS * seat.preset.symbol_s

    def leave(self, name: str) -> None:
        """Take a station off the air: what it was sending or hearing is lost. `join` brings it back, links kept.

        What it was sending still occupies the channel to its end.
        """
        seat = self._seats[name]
        seat.station = None
        if (own := seat.sending) is not None:
            seat.sending = None
            for arrival in own.arrivals:
                arrival.is_readable = False
        for arrival in seat.incoming:
            arrival.is_readable, arrival.missed = False, True

    def connect(self, sender: str, receiver: str, link: Link | None) -> None:
        """Set how `receiver` hears `sender` from the next transmission on; None cuts the link at once."""
        if link is None:
            self._seat(sender).reach.pop(receiver, None)
            for arrival in self._seat(receiver).incoming:
                if arrival.flight.seat.name == sender:
                    arrival.is_readable = False
        else:
            self._seat(sender).reach[receiver] = (self._seat(receiver), link)

    def link(self, sender: str, receiver: str) -> Link | None:
        """How `receiver` hears `sender`; None when not at all."""
        known = self._seat(sender).reach.get(receiver)
        return known[1] if known else None

    def links_of(self, sender: str) -> dict[str, Link]:
        """Who hears `sender`, and how."""
        return {receiver: link for receiver, (_, link) in self._seat(sender).reach.items()}

    def observe(self, observer: Observer) -> None:
        """Call `observer` with each transmission when it starts and again when it ends."""
        self._observers.append(observer)

    @property
    def now_s(self) -> float:
        """Time of the event at hand, on trio's clock."""
        return self._now_s

    def is_sending(self, name: str) -> bool:
        """True while this station transmits."""
        return self._seats[name].sending is not None

    def is_busy(self, name: str) -> bool:
        """True when this station detects somebody else's transmission on the channel."""
        seat = self._seats[name]
        if not seat.incoming:
            return False
        visible_since_s, detected_db = self._now_s - seat.visible_after_s, seat.detected_db
        return any(one.flight.start_s <= visible_since_s and one.snr_db >= detected_db for one in seat.incoming)

    def transmit(self, station: Station, packet: Packet) -> None:
        """Start a transmission now. A station that already transmits must not."""
        seat = self._seats[station.name]
        preset = seat.preset
        phy_bytes = packet.phy_bytes
        airtime_s = time_on_air_s(preset, phy_bytes, preamble_symbols=self._preamble_symbols)
        flight = _Flight(seat, packet, self._now_s, airtime_s)
        if self._observers:
            flight.transmission = self._transmission(flight, phy_bytes)
        for overheard in seat.incoming:
            overheard.is_readable, overheard.missed = False, True
        seat.sending = flight
        tuning, needed_db = seat.tuning, seat.needed_db
        for receiver, link in seat.reach.values():
            if receiver.station is None or receiver.tuning is not tuning:
                continue
            snr_db = link.snr_db
            if self._fading_db:
                snr_db += self._rng.gauss(0.0, self._fading_db)
            arrival = _Arrival(flight, receiver, link, snr_db, is_audible=snr_db >= needed_db)
            incoming = receiver.incoming
            if incoming:
                self._overlap(arrival, incoming, preset)
            incoming.append(arrival)
            flight.arrivals.append(arrival)
        if self._rejection is not None:
            self._cross(flight, self._rejection)
        if flight.transmission is not None:
            self._tell(flight.transmission)
        self.call_at(flight.end_s, lambda: self._end(flight))

    def call_at(self, time_s: float, action: Callable[[], None]) -> Timer:
        """Have `action` called at `time_s` on trio's clock, by the task that drives the medium."""
        timer = Timer(action)
        if not self._advancing and (not self._heap or time_s < self._heap[0][0]):
            self._earlier.set()
        heapq.heappush(self._heap, (time_s, next(self._sequence), timer))
        return timer

    def catch_up(self) -> None:
        """Let everything happen that is due by now. Whoever acts on the medium from outside calls this first."""
        if not self._advancing:
            self.advance(trio.current_time())

    def advance(self, now_s: float) -> None:
        """Let everything happen that is due by `now_s`. Without trio, this alone drives a medium, from time 0."""
        self._advancing = True
        heap = self._heap
        try:
            if not self._started:
                # What was scheduled before time ran counts from its start: trio's clock begins anywhere.
                self._started = True
                heap[:] = [(now_s + time_s, order, timer) for time_s, order, timer in heap]
            while heap and heap[0][0] <= now_s:
                due_s, _, timer = heapq.heappop(heap)
                if timer.action is not None:
                    self.events += 1
                    if due_s > self._now_s:
                        self._now_s = due_s
                    timer.action()
            self._now_s = now_s
        finally:
            self._advancing = False

    async def run(self) -> None:
        """Drive the medium until cancelled. Exactly one task does."""
        while True:
            self.catch_up()
            while self._heap and kernel.skip_to(self._heap[0][0]):
                self.catch_up()
            self._earlier = trio.Event()
            with trio.move_on_at(self._heap[0][0] if self._heap else math.inf):
                await self._earlier.wait()

    def _seat(self, name: str) -> _Seat:
        seat = self._seats.get(name)
        if seat is None:
            seat = self._seats[name] = _Seat(name)
        return seat

    def _overlap(self, arrival: _Arrival, others: list[_Arrival], preset: Preset) -> None:
        """Judge a new arrival against what is in the air there already."""
        snr_db, capture_db = arrival.snr_db, self._capture_db
        needed_from_s = arrival.flight.start_s + self._spare_symbols * preset.symbol_s
        for other in others:
            if other.snr_db - snr_db < capture_db:
                self._spoil(other)
            if snr_db - other.snr_db < capture_db and other.flight.end_s > needed_from_s:
                self._spoil(arrival)

    def _cross(self, flight: _Flight, rejection: Mapping[int, Mapping[int, float]]) -> None:
        """Judge a new transmission against those of other spreading factors on its frequency, and them against it."""
        sender, preset = flight.seat, flight.seat.preset
        for receiver, link in sender.reach.values():
            if receiver.tuning is sender.tuning or receiver.carrier != sender.carrier:
                continue
            snr_db = link.snr_db
            if self._fading_db:
                snr_db += self._rng.gauss(0.0, self._fading_db)
            needed_db = rejection[receiver.preset.spreading_factor][preset.spreading_factor]
            for wanted in receiver.incoming:
                if wanted.snr_db - snr_db < needed_db:
                    self._spoil(wanted)
            receiver.strangers = [other for other in receiver.strangers if other[0].end_s > self._now_s]
            receiver.strangers.append((flight, snr_db))
        needed_from_s = flight.start_s + self._spare_symbols * preset.symbol_s
        for arrival in flight.arrivals:
            for other, snr_db in arrival.seat.strangers:
                needed_db = rejection[preset.spreading_factor][other.seat.preset.spreading_factor]
                if arrival.snr_db - snr_db < needed_db and other.end_s > needed_from_s:
                    self._spoil(arrival)

    def _spoil(self, arrival: _Arrival) -> None:
        if arrival.is_readable:
            arrival.is_readable = False
            self.collisions += 1

    def _end(self, flight: _Flight) -> None:
        seat = flight.seat
        completed = seat.sending is flight
        if completed:
            seat.sending = None
        heard: list[_Arrival] = []
        lost: list[_Arrival] = []
        for arrival in flight.arrivals:
            arrival.seat.incoming.remove(arrival)
            if arrival.is_readable and not (arrival.link.loss and self._rng.random() < arrival.link.loss):
                heard.append(arrival)
            elif arrival.is_audible:
                lost.append(arrival)
        if flight.transmission is not None:
            heard_by = tuple([arrival.seat.name for arrival in heard])
            lost_at = tuple([arrival.seat.name for arrival in lost])
            self._tell(replace(flight.transmission, ended=True, heard_by=heard_by, lost_at=lost_at))
        if completed and seat.station is not None:
            seat.station.on_sent(flight.packet, flight.airtime_s)
        for arrival in lost:
            if not arrival.missed and arrival.seat.station is not None:
                arrival.seat.station.on_noise(self._newly_used_s(arrival.seat, flight))
        for arrival in heard:
            self._newly_used_s(arrival.seat, flight)
            if arrival.seat.station is not None:
                told_db = min(arrival.snr_db, _TOLD_SNR_MAX_DB)
                arrival.seat.station.on_heard(flight.packet, told_db, flight.airtime_s)

    def _newly_used_s(self, seat: _Seat, flight: _Flight) -> float:
        """Seconds of a flight that were not counted as use of the channel there before; now they are."""
        used_s = flight.end_s - max(flight.start_s, seat.noisy_until_s)
        seat.noisy_until_s = max(flight.end_s, seat.noisy_until_s)
        return max(used_s, 0.0)

    def _transmission(self, flight: _Flight, phy_bytes: int) -> Transmission:
        packet, station = flight.packet, flight.seat.station
        assert station is not None, "only a station on the air transmits"
        return Transmission(
            number=next(self._numbers),
            time_s=flight.start_s,
            radio=station.name,
            sender=packet.sender,
            to=packet.to,
            packet_id=packet.packet_id,
            port=packet.port,
            payload=packet.payload,
            phy_bytes=phy_bytes,
            airtime_s=flight.airtime_s,
            hop_limit=packet.hop_limit,
            hop_start=packet.hop_start,
            request_id=packet.request_id,
            relayed=packet.sender != station.node_number,
            pkc=packet.pkc,
            want_ack=packet.want_ack,
            next_hop=packet.next_hop,
        )

    def _tell(self, transmission: Transmission) -> None:
        for observer in self._observers:
            observer(transmission)
