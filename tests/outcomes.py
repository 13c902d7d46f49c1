"""Outcomes made up from a seed: consistent with themselves, without a world behind them. Imported by tests, no test."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from simulator.outcome import Asked, LinkUse, Outcome, Sent, Station, StationUse
from simulator.scenario.plan import DevicePlan, PeoplePlan, Place, RadioPlan, Scenario

LONG_FAST_LIMIT_DB = -17.5
CHATTER = (("position", 0.55, 24), ("telemetry", 0.6, 24), ("nodeinfo", 0.8, 8))


def station(name: str, x_m: float = 0.0, y_m: float = 0.0, *models: str, house: bool = True, role: str = "") -> Station:
    return Station(name, x_m, y_m, 2.0, role or ("CLIENT" if house else "ROUTER"), house, models)


def both_ways(*pairs: tuple[int, int], snr_db: float = 0.0) -> list[LinkUse]:
    return [LinkUse(*ends, snr_db, heard=5) for pair in pairs for ends in (pair, pair[::-1])]


def scenario(stations: list[Station], **how: object) -> Scenario:
    places = tuple(Place(each.name, each.x_m, each.y_m, is_house=each.is_house) for each in stations)
    values: dict[str, object] = {"terrain": "tiles", "devices": (DevicePlan("laptop", model="tiny"),)} | how
    return Scenario("hand-made", "A hand-made village", "", places, **values)  # type: ignore[arg-type]


def outcome(stations: list[Station], links: list[LinkUse], asked: list[Asked] | None = None, **how: object) -> Outcome:
    """A run in which little happened; `how` sets fields of the scenario."""
    return Outcome(
        scenario(stations, **how),
        1,
        86_400.0,
        stations,
        [StationUse(utilisation_by_hour=[2.0] * 24) for _ in stations],
        asked or [],
        links,
    )


def village(seed: int, *, houses: int = 40, models: int = 8, questions: int = 400, hours: int = 24) -> Outcome:
    """A day in a clustered village: floods of packets over links that fade with distance, and questions' endings."""
    rng = Random(f"village {seed}")
    stations = _stations(rng, houses, models)
    links = _links(rng, stations)
    air = _Air(rng, stations, links)
    asked = _asked(rng, air, stations, questions, hours)
    for index in range(len(stations)):
        for kind, airtime_s, per_day in CHATTER:
            for _ in range(round(per_day * hours / 24)):
                air.flood(rng.uniform(0, hours * 3600 - 60), index, kind, airtime_s)
    air.sent.sort(key=lambda sent: (sent.time_s, sent.station))
    return _gathered(seed, air, stations, asked, hours)


def _stations(rng: Random, houses: int, models: int) -> list[Station]:
    centres = [(rng.uniform(-2600, 2600), rng.uniform(-1900, 1900)) for _ in range(max(1, houses // 8))]
    made = []
    for number in range(houses):
        x_m, y_m = centres[number % len(centres)]
        held = (("qwen2.5-0.5b",) if number % 3 else ("smollm2-135m", "gemma-3-1b")) if number < models else ()
        made.append(station(f"House {number + 1}", x_m + rng.gauss(0, 300), y_m + rng.gauss(0, 260), *held))
    made.append(Station("Hill relay", 150.0, 250.0, 62.0, "ROUTER", False))
    made.append(station("Shepherd's hut", 5000.0, 2300.0))
    return made


def _links(rng: Random, stations: list[Station]) -> list[LinkUse]:
    links = []
    for one, first in enumerate(stations):
        for other in range(one + 1, len(stations)):
            second = stations[other]
            distance_m = max(20.0, math.dist((first.x_m, first.y_m), (second.x_m, second.y_m)))
            high = 12.0 if max(first.height_m, second.height_m) > 20 else 0.0
            snr_db = 12 - 36 * math.log10(distance_m / 200) + high + rng.gauss(0, 4)
            both = [
                LinkUse(*ends, round(min(12.0, snr_db + rng.gauss(0, 1.5)), 1)) for ends in ((one, other), (other, one))
            ]
            links += [link for link in both if link.snr_db > LONG_FAST_LIMIT_DB]
    return links


class _Air:
    """Floods packets over the links and counts."""

    def __init__(self, rng: Random, stations: list[Station], links: list[LinkUse]) -> None:
        self.rng = rng
        self.sent: list[Sent] = []
        self.packets = 0
        self.links = {(link.sender, link.receiver): [link.snr_db, 0, 0] for link in links}
        self.reach: dict[int, list[int]] = {index: [] for index in range(len(stations))}
        for link in links:
            self.reach[link.sender].append(link.receiver)

    def flood(self, time_s: float, origin: int, kind: str, airtime_s: float, hop_limit: int = 3) -> dict[int, int]:
        """Send one packet; return who has it after how many transmissions."""
        number, self.packets = self.packets, self.packets + 1
        have = {origin: 0}
        waiting = [(time_s, origin)]
        copies = 0
        while waiting:
            at_s, sender = waiting.pop(0)
            heard, lost = [], []
            for receiver in self.reach[sender]:
                snr_db, *_ = entry = self.links[sender, receiver]
                good = self.rng.random() < 0.97 - max(0.0, -8 - snr_db) * 0.06
                entry[1 if good else 2] += 1
                (heard if good else lost).append(receiver)
            sent = Sent(round(at_s, 3), sender, airtime_s, kind, number, sender != origin, tuple(heard), tuple(lost))
            self.sent.append(sent)
            copies += 1
            for receiver in heard:
                if receiver not in have:
                    have[receiver] = have[sender] + 1
                    if have[receiver] <= hop_limit and self.rng.random() < 1.1 / (1 + copies):
                        waiting.append((at_s + airtime_s + self.rng.uniform(0.5, 3), receiver))
        return have


def _asked(rng: Random, air: _Air, stations: list[Station], questions: int, hours: int) -> list[Asked]:
    servers = [index for index, each in enumerate(stations) if each.models]
    askers = [index for index, each in enumerate(stations) if each.is_house]
    made = []
    for _ in range(questions):
        time_s = (rng.gauss(13.5, 1.6) if rng.random() < 0.5 else rng.uniform(0, hours)) % hours * 3600
        asker, language = rng.choice(askers), rng.choice(("en", "sw", "fr"))
        if rng.random() < 0.15:
            made.append(Asked(time_s, asker, language, "cached", 0.02))
            continue
        have = air.flood(time_s, asker, "question", 0.9)
        near = sorted((have[server], server) for server in servers if server in have and server != asker)
        back: dict[int, int] = {}
        if near:
            for piece in range(rng.choice((1, 2, 2, 3))):
                back = air.flood(time_s + 20 + 4 * piece, near[0][1], "answer", 1.6)
        if asker in back:
            took_s = 12 + 4 * back[asker] + rng.expovariate(1 / 14)
            cut = rng.random() < 0.04
            made.append(Asked(time_s, asker, language, "answered", took_s, near[0][1], back[asker], cut, 9.5))
        else:
            why = "no answer within five minutes" if near else "nobody with a model is in reach"
            made.append(Asked(time_s, asker, language, "failed", 300.0, cost_s=4.0, why=why))
    return sorted(made, key=lambda each: each.time_s)


def _gathered(seed: int, air: _Air, stations: list[Station], asked: list[Asked], hours: int) -> Outcome:
    use = [StationUse(utilisation_by_hour=[0.0] * hours) for _ in stations]
    kinds: dict[str, float] = {}
    for sent in air.sent:
        mine = use[sent.station]
        mine.sent_s += sent.airtime_s
        mine.packets += 1
        mine.relayed += sent.relayed
        kinds[sent.kind] = kinds.get(sent.kind, 0.0) + sent.airtime_s
        hour = min(hours - 1, int(sent.time_s // 3600))
        for each in (sent.station, *sent.heard_by, *sent.lost_at):
            use[each].utilisation_by_hour[hour] += sent.airtime_s / 36
        for each in sent.heard_by:
            use[each].heard += 1
        for each in sent.lost_at:
            use[each].lost += 1
    for each in asked:
        use[each.station].asked += 1
        if each.answered_by is not None:
            use[each.answered_by].answered += 1
    for index, each in enumerate(stations):
        use[index].energy_wh = hours * (3.5 if each.models else 0.5) + use[index].sent_s / 3600
    where = scenario(
        stations,
        terrain="",
        hours=float(hours),
        radio=RadioPlan(),
        devices=(DevicePlan("old laptop", 8, model="qwen2.5-0.5b", tokens_per_s=14.0),),
        people=PeoplePlan(questions_per_day=400),
    )
    title = "A village of 40 houses around a hill"
    about = "Forty houses in five clusters, a relay on the hill, eight houses with a model; a usual day."
    return Outcome(
        replace(where, name="village-40", title=title, about=about),
        seed,
        hours * 3600.0,
        stations,
        use,
        asked,
        [LinkUse(*ends, snr_db, int(heard), int(lost)) for ends, (snr_db, heard, lost) in air.links.items()],
        events=3 * len(air.sent),
        transmissions=len(air.sent),
        receptions=sum(each.heard for each in use),
        collisions=sum(each.lost for each in use),
        airtime_by_kind_s=kinds,
        sent=air.sent,
        trace_hash=f"{seed:064x}",
    )
