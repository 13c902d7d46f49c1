"""What is noted of a run: every transmission counted, every question's end, and a hash that equal runs share.

Watches the medium and is told of questions; changes nothing. Makes the `Outcome`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from simulator.frame_names import FrameNames, kind_of
from simulator.medium import Medium, Transmission
from simulator.outcome import Asked, LinkUse, Outcome, Sent, Station, StationUse
from simulator.scenario.plan import Scenario

__all__ = ["Recorder"]

_HOUR_S = 3600.0
_LINKS_MAX = 20_000
"""Beyond so many links, only those of a run whose packets are kept are told one by one."""


class Recorder:
    """Takes notes from `start_s` on; what came before is the nodes' warming up, and only part of the hash."""

    def __init__(self, medium: Medium, stations: Sequence[Station], *, start_s: float, keep_packets: bool) -> None:
        self._medium = medium
        self._stations = list(stations)
        self._start_s = start_s
        self._keep = keep_packets
        self._index = {station.name: index for index, station in enumerate(stations)}
        self._names = FrameNames()
        self._hash = sha256()
        self._packets: dict[tuple[int, int], int] = {}
        self._busy_s: list[list[float]] = [[] for _ in stations]
        """By station and hour: seconds in which the channel was in use there."""
        self._heard: Counter[tuple[int, int]] = Counter()
        self._lost: Counter[tuple[int, int]] = Counter()
        self.use = [StationUse() for _ in stations]
        self.asked: list[Asked] = []
        self.sent: list[Sent] = []
        self.airtime_by_kind_s: dict[str, float] = {}
        self.transmissions = 0
        self.receptions = 0
        self._collisions_before = 0
        medium.observe(self._see)

    def ask_ended(self, asked: Asked) -> None:
        """Note how a question ended."""
        self.asked.append(asked)
        self.use[asked.station].asked += 1
        if asked.answered_by is not None and asked.answered_by != asked.station:
            self.use[asked.answered_by].answered += 1
        self._hash.update(repr(asked).encode())

    def outcome(self, scenario: Scenario, seed: int, simulated_s: float) -> Outcome:
        """All that was noted."""
        hours = max(1, int(-(-simulated_s // _HOUR_S)))
        for use, busy_s in zip(self.use, self._busy_s, strict=True):
            busy_s += [0.0] * (hours - len(busy_s))
            spans_s = [min(_HOUR_S, simulated_s - hour * _HOUR_S) for hour in range(hours)]
            use.utilisation_by_hour = [
                min(100.0, round(100 * seconds / span_s, 3)) for seconds, span_s in zip(busy_s, spans_s, strict=False)
            ]
        return Outcome(
            scenario=scenario,
            seed=seed,
            simulated_s=simulated_s,
            stations=self._stations,
            use=self.use,
            asked=self.asked,
            links=self._links(),
            events=self._medium.events,
            transmissions=self.transmissions,
            receptions=self.receptions,
            collisions=self._medium.collisions - self._collisions_before,
            airtime_by_kind_s={kind: round(seconds, 3) for kind, seconds in sorted(self.airtime_by_kind_s.items())},
            sent=self.sent,
            trace_hash=self._hash.hexdigest(),
        )

    def _see(self, sent: Transmission) -> None:
        if not sent.ended:
            return
        self._hash.update(
            repr((sent.time_s, sent.radio, sent.packet_id, sent.hop_limit, sent.heard_by, sent.lost_at)).encode()
        )
        name = self._names.name(sent)
        if sent.time_s < self._start_s:
            self._collisions_before = self._medium.collisions
            return
        index = self._index
        sender = index[sent.radio]
        heard = tuple([index[radio] for radio in sent.heard_by])
        lost = tuple([index[radio] for radio in sent.lost_at])
        hour = int((sent.time_s - self._start_s) // _HOUR_S)
        use = self.use[sender]
        use.sent_s += sent.airtime_s
        use.packets += 1
        use.relayed += sent.relayed
        self._occupy(sender, hour, sent.airtime_s)
        for receiver in heard:
            self.use[receiver].heard += 1
            self._occupy(receiver, hour, sent.airtime_s)
        for receiver in lost:
            self.use[receiver].lost += 1
            self._occupy(receiver, hour, sent.airtime_s)
        kind = kind_of(sent, name)
        self.airtime_by_kind_s[kind] = self.airtime_by_kind_s.get(kind, 0.0) + sent.airtime_s
        self.transmissions += 1
        self.receptions += len(heard)
        if self._keep:
            self._note(sent, kind, sender, heard, lost)

    def _note(self, sent: Transmission, kind: str, sender: int, heard: tuple[int, ...], lost: tuple[int, ...]) -> None:
        packet = self._packets.setdefault((sent.sender, sent.packet_id), len(self._packets))
        time_s = sent.time_s - self._start_s
        self.sent.append(Sent(time_s, sender, sent.airtime_s, kind, packet, sent.relayed, heard, lost))
        self._heard.update((sender, receiver) for receiver in heard)
        self._lost.update((sender, receiver) for receiver in lost)

    def _occupy(self, station: int, hour: int, seconds: float) -> None:
        hours = self._busy_s[station]
        while len(hours) <= hour:
            hours.append(0.0)
        hours[hour] += seconds

    def _links(self) -> list[LinkUse]:
        """The links of the medium as it is now, with their use where packets were kept."""
        names = [station.name for station in self._stations]
        links = []
        for sender, name in enumerate(names):
            for receiver_name, link in self._medium.links_of(name).items():
                receiver = self._index[receiver_name]
                pair = (sender, receiver)
                links.append(LinkUse(sender, receiver, round(link.snr_db, 2), self._heard[pair], self._lost[pair]))
        return links if self._keep or len(links) <= _LINKS_MAX else []
