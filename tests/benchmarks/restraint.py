"""What a neighbourhood that asks more than the air holds does to the air, and to the people who only want to chat.

One virtual hour on LONG_FAST, real nodes on virtual radios that all hear one another and share a channel: ten
askers who ask anew as soon as they were answered or told to, one or two answerers, and bystanders who write texts and
whose sensors send readings. All radios tell about themselves as well (NodeInfo, position, telemetry). An observer on
the medium counts, knowing nothing of the nodes' own accounts.

With firmware 2.8.0 on every radio, and again with 2.7.26: those figures end in `.fw27`. The goals hold for both.

    python tests/benchmarks/restraint.py [--quick] [--jobs N]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random
from statistics import mean

import trio

# A benchmark in this folder has the name of the package simulator, which is to be found first.
sys.path.sort(key=lambda place: Path(place) == Path(__file__).parent)

from nodes.bearers.radio import PRIVATE_PORT, RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import BROADCAST, RadioEvent, RadioLoad, RadioPacket
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from nodes.wishes import Wish
from protocol.errors import MeshaiError
from protocol.messages import Role, Turn
from simulator import kernel
from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.medium import Transmission
from simulator.neighbourhood import Neighbourhood
from simulator.packet import TELEMETRY_PORT, TEXT_PORT
from simulator.radio import VirtualRadioPort
from simulator.topology import Topology

RELEASES = {"": "2.8.0", ".fw27": "2.7.26"}
"""What the names of figures end in, and the firmware that all radios have there."""
GOALS = {"budget_breaches": 0, "budget_used": 0.9, "bystander_delivery_drop_points": 1, "served_or_told": 1.0}
"""Of each release."""
HOUR_S = 3600.0
OWN_S, SHARED_S, BUSY_PERCENT, DUTY_S = 72.0, 360.0, 25.0, 360.0
ANSWERERS = (1, 2)
"""With one, its own share is the tightest limit; with two, the air that all share."""
ASKERS = tuple(f"asker{n}" for n in range(10))
BYSTANDERS = tuple(f"bystander{n}" for n in range(8))
REGION = "EU_868"
SHARED = RadioSettings(channels=(Channel("serial", bytes(range(32))),), region=REGION, chatter=True, long_on=True)
"""Everybody has the channel: relays can read what is sent on it."""
TEXT_EVERY_S, TELEMETRY_EVERY_S = 400.0, 900.0
"""Mean pauses of one bystander: eight of them use some 6 % of the air, relays included."""
SETTLE_S = 60.0
DECISION_S = 0.1
"""A figure that comes while a packet is on its way to the radio does not hold it back."""
ANSWER_TOKENS = 40
"""Texts go as they are here, to save the time of coding: so many tokens of plain text fill a frame, as 140 coded do."""
Hour = deque[tuple[float, float]]
"""When something was sent in the last hour, and for how long."""
TOLD = re.compile(
    r"asks to wait (\d+) s|needs about (\d+) s|could leave in (\d+) s|ask again in (\d+) s", re.IGNORECASE
)


@dataclass(frozen=True)
class Job:
    """One run: everything that its outcome depends on."""

    answerers: int
    seed: int
    running: bool
    """Whether meshai runs; else its radios are there and silent."""
    firmware: str


@dataclass
class Outcome:
    """What came of it."""

    breaches: Counter[str] = field(default_factory=Counter)
    used: float = 0.0
    """Of the tightest limit in force."""
    delivered: float = 0.0
    """Share of the bystanders' packets that reached the other bystanders."""
    endings: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """By asker."""
    air: dict[str, float] = field(default_factory=dict)


class TappedPort(VirtualRadioPort):
    """A node's port, with a look at what it is told and when it sends."""

    def __init__(self, radio, observer: Observer) -> None:
        super().__init__(radio)
        self._name = radio.name
        self._observer = observer

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        def take(event: RadioEvent) -> None:
            if isinstance(event, RadioLoad):
                self._observer.told(self._name, event.channel_utilisation_percent)
            deliver(event)

        await super().run(take)

    async def transmit(self, payload: bytes, **how) -> int:
        self._observer.sends(self._name)
        return await super().transmit(payload, **how)


class Observer:
    """Counts on the medium, with no help of the nodes."""

    def __init__(self, topology: Topology, nodes: tuple[str, ...]) -> None:
        self.breaches: Counter[str] = Counter()
        self._nodes = nodes
        self._hears = {name: {name} | {one for one, other in topology.links if other == name} for name in nodes}
        self._own: dict[str, Hour] = {name: deque() for name in nodes}
        self._heard: dict[str, Hour] = {name: deque() for name in nodes}
        self._radio: dict[str, Hour] = {name: deque() for name in nodes}
        self._load: dict[str, tuple[float, float]] = {}
        self.own_s: Counter[str] = Counter()
        self.heard_s: Counter[str] = Counter()
        self.all_s = 0.0

    def told(self, name: str, percent: float) -> None:
        """The radio told its node how busy the channel is."""
        self._load[name] = (trio.current_time(), percent)

    def sends(self, name: str) -> None:
        """A node hands its radio something to send."""
        at, percent = self._load.get(name, (0.0, 0.0))
        since_s = sum(airtime_s for start, airtime_s in self._own[name] if start > at)
        is_new = trio.current_time() - at < DECISION_S
        if percent + 100 * since_s / 60 >= BUSY_PERCENT and not is_new:
            self.breaches["busy"] += 1

    def see(self, transmission: Transmission) -> None:
        """Something is on the air."""
        if transmission.ended:
            return
        start, airtime_s, radio = transmission.time_s, transmission.airtime_s, transmission.radio
        self.all_s += airtime_s
        if radio in self._radio:
            self._count("duty", self._radio[radio], start, airtime_s, DUTY_S)
        if transmission.port != PRIVATE_PORT:
            return
        if not transmission.relayed:
            self.own_s[radio] += airtime_s
            self._count("own", self._own[radio], start, airtime_s, OWN_S)
        for name in self._nodes:
            if radio in self._hears[name]:
                self.heard_s[name] += airtime_s
                self._count("shared", self._heard[name], start, airtime_s, SHARED_S)

    def _count(self, limit: str, hour: Hour, start: float, airtime_s: float, most_s: float) -> None:
        hour.append((start, airtime_s))
        while hour[0][0] <= start - HOUR_S:
            hour.popleft()
        if sum(seconds for _, seconds in hour) > most_s:
            self.breaches[limit] += 1


class Chatter:
    """Bystanders' packets, and who got them."""

    def __init__(self, air: Neighbourhood, seed: int) -> None:
        self._air = air
        self._rng = Random(f"chatter {seed}")
        self._numbers = {air.radio(name).node_number for name in BYSTANDERS}
        self._sent: set[tuple[int, int]] = set()
        self._received: set[tuple[str, int, int]] = set()

    async def run(self, until: float) -> None:
        """Chat until then."""
        async with trio.open_nursery() as nursery:
            for name in BYSTANDERS:
                port = VirtualRadioPort(self._air.radio(name))
                nursery.start_soon(port.run, lambda event, name=name: self._take(name, event))
                for number, every_s in ((TEXT_PORT, TEXT_EVERY_S), (TELEMETRY_PORT, TELEMETRY_EVERY_S)):
                    plan = self._plan(every_s, until)
                    nursery.start_soon(self._send, port, number, plan)
            await trio.sleep_until(until + SETTLE_S)
            nursery.cancel_scope.cancel()

    def _plan(self, every_s: float, until: float) -> list[tuple[float, int]]:
        """Times and lengths, the same whether meshai runs or not."""
        at, found = 0.0, []
        while (at := at + self._rng.expovariate(1 / every_s)) < until:
            found.append((at, self._rng.randint(15, 90)))
        return found

    async def _send(self, port: VirtualRadioPort, number: int, plan: list[tuple[float, int]]) -> None:
        for at, size in plan:
            await trio.sleep_until(at)
            packet_id = await port.transmit(bytes(size), to=BROADCAST, port=number)
            self._sent.add((port.info.node_number, packet_id))

    def _take(self, name: str, event: RadioEvent) -> None:
        if isinstance(event, RadioPacket) and event.sender in self._numbers:
            self._received.add((name, event.sender, event.packet_id))

    @property
    def delivered(self) -> float:
        """Of what they sent themselves; what their radios said besides is not asked for."""
        arrived = sum((sender, packet_id) in self._sent for _, sender, packet_id in self._received)
        return arrived / (len(self._sent) * (len(BYSTANDERS) - 1))


def story(question: str) -> str:
    """More than any answer may hold."""
    rng = Random(question)
    return " ".join(rng.choice(("rain", "river", "maize", "well", "goats", "school", "market")) for _ in range(400))


async def ask_and_ask(name: str, node: Node, until: float, rng: Random, outcome: Outcome) -> None:
    """Somebody who wants more than the air holds, and does what he is told."""
    await trio.sleep(rng.uniform(0, 300))
    number = 0
    while trio.current_time() < until:
        number += 1
        turn = Turn(Role.USER, f"{name} would like to know about number {number}, please?")
        wish = Wish((turn,), max_tokens=ANSWER_TOKENS, deadline_s=300)
        wait_s = rng.uniform(5, 30)
        try:
            await node.ask(wish)
            outcome.answers[name] += 1
            ending = "answered"
        except MeshaiError as error:
            told = TOLD.search(str(error))
            ending = "told when" if told else str(error)
            wait_s += float(next(filter(None, told.groups()))) if told else 60.0
        outcome.endings[ending] += 1
        await trio.sleep(wait_s)


async def hour(job: Job) -> Outcome:
    """One hour of it."""
    answerers = tuple(f"answerer{n}" for n in range(job.answerers))
    nodes = ASKERS + answerers
    names = nodes + BYSTANDERS
    topology = Topology.both_ways(names, tuple((a, b) for i, a in enumerate(names) for b in names[i + 1 :]))
    air = Neighbourhood(topology, seed=job.seed, settings=replace(SHARED, firmware=job.firmware))
    observer, chatter, outcome = Observer(topology, nodes), Chatter(air, job.seed), Outcome()
    air.medium.observe(observer.see)
    allowed = frozenset(address_of(air.radio(name).node_number) for name in ASKERS)

    def node(name: str) -> Node:
        trace = Trace()
        return Node(
            NodeSettings(name, allowed, silent=not job.running),
            engine=ScriptedEngine(story, tokens_per_s=20, slots=2) if name in answerers else None,
            bearers=[RadioBearer(TappedPort(air.radio(name), observer), trace)],
            cache=AnswerCache(None, trace),
            rng=Random(f"{name} {job.seed}"),
            trace=trace,
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(air.run)
        made = {name: node(name) for name in nodes}
        for one in made.values():
            await nursery.start(one.run)
        if job.running:
            for name in ASKERS:
                nursery.start_soon(ask_and_ask, name, made[name], HOUR_S, Random(f"person {name} {job.seed}"), outcome)
        await chatter.run(HOUR_S)
        nursery.cancel_scope.cancel()
    outcome.breaches = observer.breaches
    outcome.delivered = chatter.delivered
    tightest = (
        max(observer.own_s.values(), default=0.0) / OWN_S,
        max(observer.heard_s.values(), default=0.0) / SHARED_S,
    )
    outcome.used = max(tightest)
    outcome.air = {
        "own_air_s.answerer": mean(observer.own_s[name] for name in answerers),
        "own_air_s.asker": mean(observer.own_s[name] for name in ASKERS),
        "meshai_air_s": max(observer.heard_s[name] for name in nodes),
        "all_air_s": observer.all_s,
    }
    return outcome


def work(job: Job) -> Outcome:
    """One run in virtual time."""
    return kernel.run(hour, job, seed=job.seed)


def summary(outcomes: dict[Job, Outcome]) -> dict[str, float]:
    """The figures of one release: of the worst setting where there are several, means over the seeds."""
    figures: dict[str, float] = {}
    used, drops, told = [], [], []
    for answerers in ANSWERERS:
        running = [outcome for job, outcome in outcomes.items() if job.answerers == answerers and job.running]
        silent = [outcome for job, outcome in outcomes.items() if job.answerers == answerers and not job.running]
        endings = sum((outcome.endings for outcome in running), Counter())
        name = f"answerers{answerers}"
        used.append(mean(outcome.used for outcome in running))
        drops.append(100 * (mean(outcome.delivered for outcome in silent) - mean(o.delivered for o in running)))
        told.append((endings["answered"] + endings["told when"]) / endings.total())
        figures[f"{name}.budget_used"] = round(used[-1], 3)
        figures[f"{name}.bystander_delivery_drop_points"] = round(drops[-1], 2)
        figures[f"{name}.served_or_told"] = round(told[-1], 4)
        figures[f"{name}.answers_per_hour"] = round(endings["answered"] / len(running), 1)
        figures[f"{name}.bystander_delivery_silent"] = round(mean(outcome.delivered for outcome in silent), 4)
        for what in running[0].air:
            figures[f"{name}.{what}"] = round(mean(outcome.air[what] for outcome in running), 1)
    breaches = sum((outcome.breaches for outcome in outcomes.values()), Counter())
    return {
        "budget_breaches": breaches.total(),
        "budget_used": round(min(used), 3),
        "bystander_delivery_drop_points": round(max(drops), 2),
        "served_or_told": round(min(told), 4),
        **{f"budget_breaches.{limit}": breaches[limit] for limit in ("own", "shared", "busy", "duty")},
        **figures,
    }


def main() -> None:
    """Run all settings and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    seeds = 4 if options.quick else 20
    jobs = [Job(*job) for job in product(ANSWERERS, range(seeds), (True, False), RELEASES.values())]
    outcomes: dict[Job, Outcome] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, (job, outcome) in enumerate(zip(jobs, pool.map(work, jobs), strict=True), 1):
            outcomes[job] = outcome
            print(f"\r{number} of {len(jobs)} hours", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    figures: dict[str, float] = {}
    for suffix, firmware in RELEASES.items():
        found = summary({job: outcome for job, outcome in outcomes.items() if job.firmware == firmware})
        figures.update({f"{name}{suffix}": value for name, value in found.items()})
    goals = {f"{name}{suffix}": goal for suffix in RELEASES for name, goal in GOALS.items()}
    smaller_is_better = ("budget_breaches", "bystander_delivery_drop_points")
    missed = [
        name
        for name, goal in goals.items()
        if (figures[name] > goal if name.startswith(smaller_is_better) else figures[name] < goal)
    ]
    settings = {
        "goals": goals,
        "missed": missed,
        "preset": "LONG_FAST",
        "region": REGION,
        "askers": len(ASKERS),
        "bystanders": len(BYSTANDERS),
        "seeds": seeds,
        "quick": options.quick,
        **{f"firmware{suffix}": firmware for suffix, firmware in RELEASES.items()},
    }
    print(json.dumps({"figures": figures, "peer": {}, "settings": settings}))


if __name__ == "__main__":
    main()
